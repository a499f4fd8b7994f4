"""Files that are whole or absent, and what killed writers leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.atomic import clear_leftovers, write_bytes
from runtime.errors import DataError

WRITING = """
import os, sys, time
from pathlib import Path
from converters.atomic import write_bytes
def wait(_descriptor):
    print("ready", flush=True)
    time.sleep(60)
os.fsync = wait
write_bytes(Path(sys.argv[1]), b"half")
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has written all of ``file`` but not given it its name."""
    process = subprocess.Popen([sys.executable, "-c", WRITING, tmp_path / "file"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_is_written_is_there_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "file"
    for content in (b"one", b"another"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_a_device_or_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(DataError, match=f"cannot write .*{name}: it is a device or a pipe; name a file"):
            write_bytes(tmp_path / name, b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")
def test_behind_a_link_lies_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for content in (b"one", b"another"):
        write_bytes(tmp_path / "link", content)
        assert (tmp_path / "there" / "file").read_bytes() == content
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")
def test_the_file_of_a_living_writer_stays(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    write_bytes(tmp_path / "file", b"mine")
    clear_leftovers(tmp_path)
    assert (tmp_path / "file").read_bytes() == b"mine"
    (left,) = tmp_path.glob(".file.edge-export-file-*")
    assert left.stat().st_size in (0, 4)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals and locks")
def test_the_file_of_a_killed_writer_goes(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    (tmp_path / ".file.edge-export-file-mine").write_text("of somebody else")
    assert len(list(tmp_path.iterdir())) == 2
    write_bytes(tmp_path / "other", b"x")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".file.edge-export-file-mine", "other"]


@pytest.mark.parametrize("name", ["file/below", "x" * 300])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"^cannot write .*: (Not a directory|File exists|File name too long)$"):
        write_bytes(tmp_path / name, b"y")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
