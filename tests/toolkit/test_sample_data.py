"""Drawn shapes and the flower archive."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from runtime.errors import DataError, UsageError
from toolkit import sample_data, shapes
from toolkit.sample_data import FLOWER_CLASSES, SampleData, draw_shapes, fetch_flowers


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --- shapes


def test_draws_every_class(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "shapes"
    made = draw_shapes(folder, 3)
    assert made == SampleData(folder, ("circle", "square", "plus", "triangle"), 12, 12)
    expected = {f"{shape}/{shape}_{n:04d}.jpg" for shape in made.classes for n in (1, 2, 3)}
    assert set(contents(folder)) == expected
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.format == "JPEG"
            assert image.mode == "RGB"
            assert 160 <= min(image.size) <= max(image.size) <= 320
            assert max(image.size) <= 1.51 * min(image.size)
            image.load()


def test_same_seed_same_bytes_and_more_only_adds(tmp_path: Path) -> None:
    draw_shapes(tmp_path / "a", 2, seed=5)
    draw_shapes(tmp_path / "b", 4, seed=5)
    draw_shapes(tmp_path / "c", 2, seed=6)
    few, more, other = (contents(tmp_path / name) for name in "abc")
    assert few.items() < more.items()
    assert few.keys() == other.keys()
    assert not set(few.values()) & set(other.values())
    assert len(set(more.values())) == 16


def test_goes_on_where_it_was(tmp_path: Path) -> None:
    draw_shapes(tmp_path, 3)
    whole = contents(tmp_path)
    (tmp_path / "plus" / "plus_0002.jpg").unlink()
    (tmp_path / "plus" / "plus_0002.jpg.part").write_bytes(b"cut short")
    kept = (tmp_path / "plus" / "plus_0001.jpg").stat()
    assert draw_shapes(tmp_path, 3).new == 1
    assert contents(tmp_path) == whole
    assert (tmp_path / "plus" / "plus_0001.jpg").stat() == kept


def test_complete_set_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_shapes(tmp_path, 3)
    (tmp_path / ".DS_Store").write_bytes(b"a desktop was here")
    capsys.readouterr()
    assert draw_shapes(tmp_path, 3) == SampleData(tmp_path, shapes.CLASSES, 12, 0)
    assert draw_shapes(tmp_path, 1) == SampleData(tmp_path, shapes.CLASSES, 12, 0)
    assert capsys.readouterr().err == ""


def test_another_seed_needs_another_folder(tmp_path: Path) -> None:
    draw_shapes(tmp_path, 1, seed=1)
    with pytest.raises(DataError, match="another seed .*seed 1, not 2"):
        draw_shapes(tmp_path, 1, seed=2)


@pytest.mark.parametrize("name", ["notes.txt", "cat/cat_0001.jpg", "circle/mine.jpg", "circle/circle_0001.jpg"])
def test_foreign_folder_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match="which is not part of this picture set"):
        draw_shapes(tmp_path, 1)
    assert contents(tmp_path) == {name: b"mine"}


def test_somebody_elses_jpeg_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "circle" / "circle_0001.jpg"
    path.parent.mkdir()
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(DataError, match="not part"):
        draw_shapes(tmp_path, 1)


def test_shapes_folder_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    for folder in (path, path / "shapes"):
        with pytest.raises(DataError, match="cannot draw into"):
            draw_shapes(folder, 1)


def test_shapes_arguments(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not 0"):
        draw_shapes(tmp_path, 0)
    with pytest.raises(UsageError, match="not -1"):
        draw_shapes(tmp_path, 1, seed=-1)


# --- flowers


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **attributes: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in attributes.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def write_archive(path: Path, *extra: tuple[str, bytes, dict[str, object]]) -> str:
    """A small flower archive with ``extra`` members first; returns its checksum."""
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "flower_photos", type=tarfile.DIRTYPE, mode=0o755)
        for name, content, attributes in extra:
            add(tar, name, content, **attributes)
        add(tar, "flower_photos/LICENSE.txt", b"CC-BY")
        for flower in FLOWER_CLASSES:
            add(tar, f"flower_photos/{flower}", type=tarfile.DIRTYPE, mode=0o755)
            for number in range(2):
                add(tar, f"flower_photos/{flower}/{number}.jpg", f"{flower}{number}".encode())
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def archive_site(site: tuple[Path, str]) -> tuple[Path, str]:
    """A served archive path (to be written by the test) and its address."""
    folder, url = site
    return folder / "flower_photos.tgz", f"{url}/flower_photos.tgz"


def test_fetches_flowers(archive_site: tuple[Path, str], tmp_path: Path) -> None:
    archive, url = archive_site
    checksum = write_archive(archive)
    folder = tmp_path / "data" / "flowers"
    assert fetch_flowers(folder, url=url, checksum=checksum) == SampleData(folder, FLOWER_CLASSES, 10, 10)
    unpacked = contents(folder)
    assert unpacked["LICENSE.txt"] == b"CC-BY"
    assert unpacked["roses/1.jpg"] == b"roses1"
    assert len(unpacked) == 11
    assert list(folder.parent.iterdir()) == [folder], "neither the archive nor anything half-done is left"
    archive.unlink()
    assert fetch_flowers(folder, url=url, checksum=checksum) == SampleData(folder, FLOWER_CLASSES, 10, 0)


def test_relative_folder(archive_site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, url = archive_site
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    made = fetch_flowers(Path("flowers"), url=url, checksum=write_archive(archive))
    assert made.folder == Path("flowers")
    assert len(contents(here / "flowers")) == 11


def test_archive_put_there_by_hand_is_used_and_kept(archive_site: tuple[Path, str], tmp_path: Path) -> None:
    by_hand = tmp_path / "flower_photos.tgz"
    checksum = write_archive(by_hand)
    _, url = archive_site
    assert fetch_flowers(tmp_path / "flowers", url=url, checksum=checksum).new == 10
    assert by_hand.exists()


def test_what_a_killed_run_left_is_cleared(archive_site: tuple[Path, str], tmp_path: Path) -> None:
    archive, url = archive_site
    left = tmp_path / "data" / ".flowers.unpacking" / "roses"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"half")
    folder = tmp_path / "data" / "flowers"
    folder.mkdir()
    fetch_flowers(folder, url=url, checksum=write_archive(archive))
    assert list(folder.parent.iterdir()) == [folder]
    assert not (folder / "roses" / "half.jpg").exists()


HOSTILE: dict[str, tuple[str, bytes, dict[str, object]]] = {
    "absolute": ("/tmp/evil.jpg", b"x", {}),
    "parent": ("flower_photos/../../evil.jpg", b"x", {}),
    "parent at the end": ("flower_photos/roses/..", b"", {"type": tarfile.DIRTYPE}),
    "backslash": ("flower_photos\\..\\evil.jpg", b"x", {}),
    "drive": ("flower_photos/C:evil.jpg", b"x", {}),
    "symbolic link": ("flower_photos/roses", b"", {"type": tarfile.SYMTYPE, "linkname": "/tmp"}),
    "hard link": ("flower_photos/roses/a.jpg", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
    "device": ("flower_photos/zero", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
    "fifo": ("flower_photos/fifo", b"", {"type": tarfile.FIFOTYPE}),
    "file where a folder belongs": ("flower_photos/roses", b"x", {}),
    "same file twice": ("flower_photos/roses/0.jpg", b"x", {}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archive(archive_site: tuple[Path, str], tmp_path: Path, kind: str) -> None:
    archive, url = archive_site
    folder = tmp_path / "data" / "flowers"
    with pytest.raises(DataError, match=r"(refused to|cannot) unpack"):
        fetch_flowers(folder, url=url, checksum=write_archive(archive, HOSTILE[kind]))
    assert [p.name for p in folder.parent.iterdir()] == ["flower_photos.tgz"]
    assert not (tmp_path / "evil.jpg").exists()


@pytest.mark.parametrize("limit", ["_MAX_ARCHIVE_FILES", "_MAX_ARCHIVE_BYTES"])
def test_archive_over_the_limits(
    archive_site: tuple[Path, str], tmp_path: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, url = archive_site
    monkeypatch.setattr(sample_data, limit, 8)
    with pytest.raises(DataError, match="refused to unpack .* more than"):
        fetch_flowers(tmp_path / "data" / "flowers", url=url, checksum=write_archive(archive))
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["flower_photos.tgz"]


def test_huge_member_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "flower_photos.tgz"
    huge = tarfile.TarInfo("flower_photos/roses/huge.jpg")
    huge.size = 1 << 40
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(huge)
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="more than"):
        fetch_flowers(tmp_path / "flowers", checksum=checksum)


@pytest.mark.parametrize("damage", ["not a tar", "cut short", "flipped"])
def test_damaged_archive(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "flower_photos.tgz"
    write_archive(path)
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes(255 - byte for byte in data[middle : middle + 20]) + data[middle + 20 :]
    path.write_bytes({"not a tar": b"hello", "cut short": data[:middle], "flipped": flipped}[damage])
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="cannot unpack"):
        fetch_flowers(tmp_path / "flowers", checksum=checksum)
    assert list(tmp_path.iterdir()) == [path]


def test_archive_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "flower_photos.tgz"
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "flower_photos/roses/0.jpg", b"x")
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="no pictures of daisy"):
        fetch_flowers(tmp_path / "flowers", checksum=checksum)
    assert list(tmp_path.iterdir()) == [path]


def test_flowers_into_a_foreign_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"it holds 'mine\.txt'"):
        fetch_flowers(tmp_path)
    with pytest.raises(DataError, match="it is a file"):
        fetch_flowers(tmp_path / "mine.txt")
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_nothing_put_there_meanwhile_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = write_archive(tmp_path / "flower_photos.tgz")
    folder = tmp_path / "flowers"
    folder.mkdir()
    (folder / ".DS_Store").write_bytes(b"")
    unpack = sample_data._unpack

    def slow_unpack(archive: Path, target: Path) -> None:
        unpack(archive, target)
        (folder / ".git").mkdir()

    monkeypatch.setattr(sample_data, "_unpack", slow_unpack)
    with pytest.raises(DataError, match="holds '.git'"):
        fetch_flowers(folder, checksum=checksum)
    assert (folder / ".git").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"flower_photos.tgz", "flowers"}
