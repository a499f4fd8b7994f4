from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image

from runtime.actions.folder_names import folder_name, safe_name
from runtime.actions.kept_pictures import KeptPictures
from runtime.actions.options import SaveOptions
from runtime.actions.save import SavePictures
from runtime.cli import main
from runtime.errors import DataError, UsageError
from runtime.said import Said
from tests.runtime.seen import Log, eventually, seen

Capture = pytest.CaptureFixture[str]


def tree(folder: Path) -> list[str]:
    """All files under a folder but the list of what was saved."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".runtime-saved")
    return sorted(path.relative_to(folder).as_posix() for path in files)


def save(folder: Path, *answers: Any, camera: bool = True, log: Log | None = None, **options: Any) -> list[str]:
    """What lies in the folder after these answers."""
    said = Said(log or Log(), "--save")
    with closing(SavePictures(SaveOptions(folder, **options), said, camera=camera)) as action:
        for answer in answers:
            action.handle(answer)
            if action._worker is not None:
                assert eventually(lambda: action._worker is None or action._worker.idle)
    return tree(folder)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("daisy", "daisy"),
        ("向日葵 Ä", "向日葵 Ä"),
        ("_background_", "_background_"),
        ("golden retriever", "golden retriever"),
        ("a/b", "a_b-"),
        ("../../etc", "_._.._etc-"),
        ("..", "__-"),
        (".hidden", "_hidden-"),
        ("ends. ", "ends._-"),
        ("two\nlines", "two_lines-"),
        ("-rf", "_rf-"),
        ("CON", "_CON-"),
        ("nul.txt", "_nul.txt-"),
        ("", "_-"),
        ("\udcff", "_-"),
        ("a\0b", "a_b-"),
        ("花" * 200, "花" * 60 + "-"),
    ],
)
def test_a_label_as_a_folder(label: str, name: str, tmp_path: Path) -> None:
    made = folder_name(label)
    assert made == name or (made.startswith(name) and len(made) == len(name) + 6)
    (tmp_path / made).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [made]


def test_labels_that_look_alike_have_folders_of_their_own() -> None:
    labels = ["a/b", "a:b", "a_b", "a\\b", "a\nb", "a\rb", ".", "..", "...", "", " ", "  ", "\udcfe", "\udcff"]
    assert len({folder_name(label) for label in labels}) == len(labels)
    assert safe_name("..") == "__"


def test_frames_are_saved_by_label_as_jpeg(tmp_path: Path, pixels: np.ndarray[Any, Any]) -> None:
    made = save(tmp_path, seen("cat", picture=pixels, number=3), seen("a/b", names=("a/b", "c")), seen())
    assert made == [
        "_unknown_/20260301T093000.125Z-0.jpg",
        "a_b-c14cdd/20260301T093000.125Z-0.jpg",
        "cat/20260301T093000.125Z-3.jpg",
    ]
    with Image.open(tmp_path / made[2]) as image:
        assert (image.format, image.size) == ("JPEG", (80, 48))
        assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 4


def test_blue_first_frames_have_their_colours_right(clip: Path, colours: Path, tmp_path: Path) -> None:
    command = ["classify", "--camera", str(clip), "--model", str(colours), "--save", str(tmp_path / "kept")]
    assert main([*command, "--save-pause", "0"]) == 0
    for name in tree(tmp_path / "kept"):
        with Image.open(tmp_path / "kept" / name) as image:
            red, green, blue = image.resize((1, 1)).getpixel((0, 0))
        assert (red > 200, green < 50, blue > 200) == ((True, True, False) if "red/" in name else (False, True, True))


def test_files_are_saved_as_they_are(photos: Path, colours: Path, tmp_path: Path) -> None:
    jpeg = photos / "no ending"
    Image.new("RGB", (9, 9), "red").save(jpeg, "JPEG")
    (photos / "red.png").rename(photos / "red.JPG")  # a PNG whose name says otherwise
    kept = tmp_path / "kept"
    for _ in range(2):  # the second time they are there already
        paths = [str(jpeg), str(photos)]
        assert main(["classify", "--model", str(colours), "--save", str(kept), *paths]) == 0
    blue = folder_name("two\nlines")
    named = [name for name in tree(kept) if "Z-" not in name]
    assert named == ["red/red.png", f"{blue}/blue.png", "緑 grün/green.png"]
    assert (kept / "red/red.png").read_bytes() == (photos / "red.JPG").read_bytes()


def test_files_of_one_name_are_all_kept(tmp_path: Path, encoded: Callable[..., bytes]) -> None:
    pictures = [encoded(Image.new("RGB", (9, 9), (value, 0, 0))) for value in (1, 2, 3, 2)]
    answers = [seen("cat", picture=data, source=f"{n}/a.png") for n, data in enumerate(pictures)]
    assert save(tmp_path, *answers, camera=False) == ["cat/a-2.png", "cat/a-3.png", "cat/a.png"]


def test_addresses_and_streams_give_safe_names(tmp_path: Path, encoded: Callable[..., bytes]) -> None:
    data = encoded(Image.new("RGB", (9, 9)), "JPEG")
    sources = ["http://host/a/%2E%2E%2Fb.jpg?c=/d.png", "-", "http://host/", "\udcff\n.jpg", "x" * 300 + ".jpg"]
    answers = [seen("cat", picture=data + bytes(n), source=source, number=n) for n, source in enumerate(sources)]
    made = save(tmp_path, *answers, camera=False)
    assert sorted(made) == sorted(
        ["cat/b.jpg", "cat/20260301T093000.125Z-1.jpg", "cat/20260301T093000.125Z-2.jpg", "cat/__.jpg"]
        + [f"cat/{'x' * 180}.jpg"]
    )


def test_several_labels_several_folders(tmp_path: Path) -> None:
    made = save(tmp_path, seen("cat", "dog", task="multi-label"))
    assert [name.split("/")[0] for name in made] == ["cat", "dog"]


def test_only_uncertain_ones(tmp_path: Path) -> None:
    answers = [
        seen("cat", scores=(0.9, 0.1, 0.0), number=1),
        seen("cat", scores=(0.79, 0.2, 0.0), number=2),
        seen(scores=(0.3, 0.95, 0.2), number=3),  # unknown
    ]
    made = save(tmp_path, *answers, uncertain_below=0.8)
    assert made == ["cat/20260301T093000.125Z-2.jpg", "dog/20260301T093000.125Z-3.jpg"]


def test_a_multi_label_answer_is_uncertain_where_a_score_says_neither(tmp_path: Path) -> None:
    answers = [
        seen("cat", scores=(0.99, 0.01, 0.01), number=1, task="multi-label"),
        seen("cat", scores=(0.99, 0.3, 0.01), number=2, task="multi-label"),
        seen(scores=(0.01, 0.01, 0.01), number=3, task="multi-label"),
    ]
    assert save(tmp_path, *answers, uncertain_below=0.8) == ["cat/20260301T093000.125Z-2.jpg"]


def test_one_picture_of_a_label_in_a_while(tmp_path: Path) -> None:
    answers = [seen("cat", number=1), seen("cat", number=2), seen("dog", number=3), seen("cat", number=4)]
    made = save(tmp_path, *answers, pause=1000.0)
    assert [name[-6:] for name in made] == ["-1.jpg", "-3.jpg"]


def picture(seed: int) -> bytes:
    return bytes([seed]) * 1000


def test_the_oldest_of_a_camera_go(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 3500, replace=True)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "mine.jpg").write_bytes(picture(99))
    for number in range(10):
        assert kept.put(picture(number), "cat", str(number), ".jpg")
    assert tree(tmp_path) == ["cat/7.jpg", "cat/8.jpg", "cat/9.jpg", "cat/mine.jpg"]
    again = KeptPictures(tmp_path, 3500, replace=True)  # it remembers
    (tmp_path / "cat" / "7.jpg").rename(tmp_path / "cat" / "sorted.jpg")  # not ours any more
    assert again.put(picture(10), "dog", "10", ".jpg")
    assert again.put(picture(11), "dog", "11", ".jpg")
    made = ["cat/9.jpg", "cat/mine.jpg", "cat/sorted.jpg", "dog/10.jpg", "dog/11.jpg"]
    assert tree(tmp_path) == made
    assert not again.put(bytes(4000), "dog", "large", ".jpg")
    assert tree(tmp_path) == made


def test_the_list_of_what_was_saved_does_not_grow(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, 3500, replace=True)
    for number in range(2000):
        kept.put(picture(number % 256), "cat", str(number), ".jpg")
    assert (tmp_path / ".runtime-saved").stat().st_size < 6000
    assert tree(tmp_path) == ["cat/1997.jpg", "cat/1998.jpg", "cat/1999.jpg"]


def test_a_list_that_somebody_made_up_removes_nothing_elsewhere(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "kept"
    folder.mkdir()
    outside.mkdir()
    (outside / "a.jpg").write_bytes(picture(1))
    lines = [f"1000 {outside}/a.jpg", "1000 ../outside/a.jpg", "1000 ../a.jpg", "1000 cat/..", "x", "", "9 \xff\0/a"]
    (folder / ".runtime-saved").write_text("\n".join(lines))
    kept = KeptPictures(folder, 1500, replace=True)
    for number in range(3):
        kept.put(picture(number), "cat", str(number), ".jpg")
    assert tree(folder) == ["cat/2.jpg"]
    assert (outside / "a.jpg").exists()


def test_halves_that_a_killed_run_left_are_removed(tmp_path: Path) -> None:
    old = time.time() - 3600
    for name in ("cat/.1.jpg.runtime-part", ".runtime-saved.runtime-part", "cat/.mine.part", "cat/mine.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (old, old))
    (tmp_path / "cat" / ".2.jpg.runtime-part").touch()  # of another command that is at it
    KeptPictures(tmp_path, 3500, replace=True)
    assert sorted(path.name for path in (tmp_path / "cat").iterdir()) == [
        ".2.jpg.runtime-part",
        ".mine.part",
        "mine.jpg",
    ]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".runtime-saved"]


@pytest.mark.parametrize("camera", [True, False])
def test_a_frame_is_on_the_disk_before_it_has_its_name(
    camera: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a file that only the system's memory held is there with 0 bytes."""
    synced = []

    def sync(number: int) -> None:
        synced.append((os.fstat(number).st_size, [path.suffix for path in (tmp_path / "cat").glob("*")]))

    with closing(SavePictures(SaveOptions(tmp_path), Said(Log(), "--save"), camera=camera)) as action:
        monkeypatch.setattr("os.fsync", sync)
        action.handle(seen("cat", picture=b"\xff\xd8\xff" + bytes(500)))
    assert synced == ([(503, [".runtime-part"])] if camera else [])


def test_a_failure_that_nobody_foresaw_ends_no_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    with closing(SavePictures(SaveOptions(tmp_path), Said(log, "--save"), camera=True)) as action:
        with monkeypatch.context() as patch:
            patch.setattr("runtime.actions.save.jpeg_bytes", lambda *_: 1 / 0)
            action.handle(seen("cat", number=1))
            assert eventually(lambda: log.lines)
        action.handle(seen("cat", number=2))
    assert log.lines == ["--save: a frame cannot be saved: ZeroDivisionError: division by zero"]
    assert [name[-6:] for name in tree(tmp_path)] == ["-2.jpg"]


def test_a_folder_of_pictures_stops_at_the_limit(photos: Path, colours: Path, tmp_path: Path, capsys: Capture) -> None:
    size = (photos / "red.png").stat().st_size
    command = ["classify", "--model", str(colours), "--json", str(photos), "--save", str(tmp_path / "kept")]
    assert main([*command, "--save-limit", f"{size + 5}B"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    assert "--save: 2 pictures not saved: the limit is reached (--save-limit)\n" in said.err
    assert len(tree(tmp_path / "kept")) == 1


def test_a_full_disk_is_said_once_and_leaves_no_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()

    really = Path.open

    def full(path: Path, *arguments: Any, **options: Any) -> IO[Any]:
        if path.suffix != ".runtime-part":
            return really(path, *arguments, **options)
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        options = SaveOptions(tmp_path)
        with closing(SavePictures(options, Said(log, "--save"), camera=True)) as action:
            patch.setattr(Path, "open", full)
            for number in range(5):
                action.handle(seen("cat", number=number))
        with pytest.raises(DataError, match="No space left"):
            save(tmp_path, seen("cat"), camera=False)
    assert log.lines[0] == f"--save: {tmp_path}: No space left on device; pictures are left out"
    assert tree(tmp_path) == []
    assert save(tmp_path, seen("cat", number=9)) == ["cat/20260301T093000.125Z-9.jpg"]


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounting needs root and Linux")
def test_a_disk_that_is_really_full(clip: Path, colours: Path, tmp_path: Path, run_module: Any) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        outputs = ["--save", str(disk / "kept"), "--save-pause", "0", "--csv", str(tmp_path / "a.csv"), "--json"]
        done = run_module("classify", "--camera", str(clip), "--model", str(colours), *outputs)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 12)
        assert "No space left on device; pictures are left out" in done.stderr
        assert all(path.stat().st_size for path in disk.rglob("*.jpg"))
        assert not list(disk.rglob(".*.runtime-part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_cannot_be_saved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--save .*file: cannot be written to: "):
        save(tmp_path / "file", seen("cat"))
    (tmp_path / "cat").touch()
    with pytest.raises(DataError, match="--save .*: "):
        save(tmp_path, seen("cat"), camera=False)
    log = Log()
    save(tmp_path, seen("cat"), seen("cat"), log=log)
    assert len(log.lines) == 1


def test_a_slow_disk_never_holds_up_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from threading import Event

    released, log = Event(), Log()

    def slow(self: KeptPictures, *arguments: Any) -> bool:
        return released.wait(20)

    monkeypatch.setattr(KeptPictures, "put", slow)
    large = np.zeros((1500, 2000, 3), np.uint8)
    with closing(SavePictures(SaveOptions(tmp_path), Said(log, "--save"), camera=True)) as action:
        for number in range(20):
            action.handle(seen("cat", number=number, picture=large))  # would stand still here
        assert log.lines == ["--save: the disk is too slow; pictures are left out"]
        released.set()
