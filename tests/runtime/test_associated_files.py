from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from runtime.associated_files import associated_files, find_spec, read_associated_file
from runtime.errors import ModelError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of weights to which a test may append an archive."""
    made = tmp_path / "model.tflite"
    made.write_bytes(bytes(range(256)) * 40)
    return made


def append(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "a", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_files_come_back(path: Path) -> None:
    append(path, {"labels.txt": b"a\nb\n", "spec.json": b"{}"})
    assert associated_files(path) == ("labels.txt", "spec.json")
    assert read_associated_file(path, "labels.txt") == b"a\nb\n"
    assert read_associated_file(path, "other") is None
    assert find_spec(path) == b"{}"


def test_an_archive_put_behind_with_its_own_offsets(path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("spec.json", b"{}")
    path.write_bytes(path.read_bytes() + archive.getvalue())
    assert find_spec(path) == b"{}"


@pytest.mark.parametrize("data", [b"", b"x", b"PK\5\6", bytes(21), b"PK\5\6" * 5, bytes(200_000)])
def test_no_archive(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert associated_files(path) == ()
    assert find_spec(path) is None


def test_no_file(path: Path) -> None:
    with pytest.raises(ModelError, match=r"none.tflite: cannot be read: No such file"):
        find_spec(path.with_name("none.tflite"))


def test_a_damaged_archive(path: Path) -> None:
    append(path, {"spec.json": b"{}" * 100})
    data = bytearray(path.read_bytes())
    position = data.rfind(b"PK\1\2")
    data[position : position + 4] = b"XXXX"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="has a damaged archive of associated files: "):
        find_spec(path)


def test_a_wrong_checksum(path: Path) -> None:
    append(path, {"spec.json": b"{}" * 100}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"{}{}", b"{]{}", 1))
    with pytest.raises(ModelError, match="Bad CRC-32"):
        find_spec(path)


def test_a_bomb_by_its_declared_size(path: Path) -> None:
    append(path, {"spec.json": bytes(17 * 1024 * 1024)})
    assert path.stat().st_size < 50_000
    with pytest.raises(ModelError, match=r"holds spec.json of over 16777216 bytes, refused as too large"):
        find_spec(path)


def test_a_bomb_that_declares_a_small_size(path: Path) -> None:
    append(path, {"spec.json": bytes(64 * 1024 * 1024)})
    data = path.read_bytes().replace(struct.pack("<I", 64 * 1024 * 1024), struct.pack("<I", 1000))
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="Bad CRC-32"):
            find_spec(path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000  # not all of it is unpacked
    finally:
        tracemalloc.stop()


def test_the_limit_is_the_callers(path: Path) -> None:
    append(path, {"spec.json": b"12345"})
    assert read_associated_file(path, "spec.json", max_bytes=5) == b"12345"
    with pytest.raises(ModelError, match="over 4 bytes"):
        read_associated_file(path, "spec.json", max_bytes=4)


def test_a_directory_too_large_to_read(path: Path) -> None:
    append(path, {f"{number:0200d}": b"" for number in range(5000)})
    with pytest.raises(ModelError, match="directory is larger than 1048576 bytes"):
        associated_files(path)


def test_other_packings_are_refused(path: Path) -> None:
    append(path, {"spec.json": b"{}"}, zipfile.ZIP_BZIP2)
    with pytest.raises(ModelError, match="packed by method 12, not deflate"):
        find_spec(path)


def test_an_encrypted_file(path: Path) -> None:
    append(path, {"spec.json": b"{}"})
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.rfind(signature) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="encrypted"):
        find_spec(path)


def test_absurd_names_are_only_names(path: Path) -> None:
    names = ["../../etc/passwd", "/abs", "a" * 60_000, "two\nlines", "..", "dir/"]
    append(path, dict.fromkeys(names, b"x"))
    assert set(associated_files(path)) == set(names)
    assert read_associated_file(path, "../../etc/passwd") == b"x"
    with pytest.raises(ModelError, match=r"holds 'two\\nlines' of over 0 bytes"):
        read_associated_file(path, "two\nlines", max_bytes=0)
    assert read_associated_file(path, "") is None
