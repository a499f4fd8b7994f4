"""``toolkit train`` in a process of its own, ended in the middle and started again."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from tests.toolkit.pictures import make_classes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

ROOT = Path(__file__).parents[2]
# Enough for seconds of computing; the signal comes after the first of them.
COUNT = 100


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classes(tmp_path_factory.mktemp("many") / "photos", dict.fromkeys("abcd", COUNT))


def start(pictures: Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "toolkit.cli", "train", str(pictures), "--output-dir", str(folder / "model")]
    return subprocess.Popen(
        [*command, "--cache-dir", str(folder / "cache")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder: Path) -> int:
    """Feature vectors in the cache; the pictures' signatures, which lie there too, are 17 numbers."""
    path = folder / "cache" / "features.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM vectors WHERE length(vector) > 68").fetchone()[0])
        except sqlite3.OperationalError:  # not there yet
            return 0


def wait_for_rows(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not rows(folder):
        assert process.poll() is None, f"it ended before it was stopped: {process.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(pictures: Path, folder: Path) -> int:
    """Train to the end; how many features came from the cache."""
    process = start(pictures, folder)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    (found,) = re.findall(rf"(\d+) of {4 * COUNT} features from the cache", said)
    assert ModelBundle.load(folder / "model").is_sound()
    assert sorted(entry.name for entry in folder.iterdir()) == ["cache", "model"]
    return int(found)


def test_sigkill_while_features_are_computed(many: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path)
    wait_for_rows(process, tmp_path)
    process.kill()
    process.communicate()
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"], "no half-written bundle"
    kept = rows(tmp_path)
    assert 0 < kept < 4 * COUNT
    assert finish(many, tmp_path) == kept


def test_ctrl_c_while_features_are_computed(many: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path)
    wait_for_rows(process, tmp_path)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("\ntoolkit: interrupted\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"]
    assert 0 < rows(tmp_path) < 4 * COUNT


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    pictures = make_classes(tmp_path / "photos", {"a": 20, "b": 20})
    runs = [start(pictures, tmp_path) for _ in range(2)]
    for run in runs:
        said, _ = run.communicate(timeout=180)
        assert run.returncode == 0, said
    assert ModelBundle.load(tmp_path / "model").is_sound()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "model", "photos"]
    assert rows(tmp_path) == 40


def test_a_terminal_sees_rate_and_time_left(many: Path, tmp_path: Path) -> None:
    import fcntl
    import pty
    import struct
    import termios

    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [sys.executable, "-m", "toolkit.cli", "train", str(many), "--output-dir", str(tmp_path / "model")]
    command += ["--cache-dir", str(tmp_path / "cache"), "--architecture", "mobilenet_1.00_224", "--weights", "none"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    said = b""
    try:
        while chunk := os.read(controller, 65536):
            said += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(controller)
    assert process.wait(60) == 0
    steps = re.findall(rb"Computing features: +\d+%.*?\[\d\d:\d\d<\d\d:\d\d, +[\d.]+ images/s\]", said)
    assert len(steps) > 3, said
