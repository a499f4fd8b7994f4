from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runtime.command import run_command
from runtime.errors import ModelError
from runtime.quiet import own_stderr, quiet_stderr
from tests.conftest import ROOT


def test_what_native_code_says_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"INFO: chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_shown_when_something_unforeseen_happens(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="why"), quiet_stderr():
        os.write(2, b"ERROR: reason\n")
        raise ValueError("why")
    assert capfd.readouterr().err == "ERROR: reason\n"


def test_errors_of_ours_stand_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError), quiet_stderr():
        os.write(2, b"ERROR: reason\n")
        raise ModelError("reason")
    assert capfd.readouterr().err == ""


def test_lines_of_other_threads_that_must_come_at_once(tmp_path: Path) -> None:
    """In a process of its own: here pytest has its own standard error."""
    script = """
import os, sys
from runtime.quiet import own_stderr, quiet_stderr
before = sys.stderr
with own_stderr():
    with quiet_stderr():
        print("花 at once", file=sys.stderr)
        os.write(2, b"INFO: chatter")
        print(os.stat(sys.argv[1]).st_size)
assert sys.stderr is before
print("after", file=sys.stderr)
"""
    path = tmp_path / "log"
    with path.open("wb") as log:
        command = [sys.executable, "-c", script, str(path)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, env=environment, check=True)
    assert int(done.stdout) == len("花 at once\n".encode())
    assert path.read_text(encoding="utf-8") == "花 at once\nafter\n"


def test_a_stream_that_is_no_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), None):
        monkeypatch.setattr("sys.stderr", stream)
        with own_stderr():
            assert sys.stderr is stream


def test_blocks_of_several_threads_that_overlap(capfd: pytest.CaptureFixture[str]) -> None:
    inside, left = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_stderr():
            inside.set()
            left.wait(10)
            os.write(2, b"INFO: chatter of the other\n")

    thread = threading.Thread(target=other)
    with quiet_stderr():
        thread.start()
        assert inside.wait(10)
        os.write(2, b"INFO: chatter\n")
    left.set()
    thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_blocks_within_blocks_show_it_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="why"), quiet_stderr(), quiet_stderr():
        os.write(2, b"ERROR: reason\n")
        raise ValueError("why")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "ERROR: reason\nafter\n"


def test_the_last_words_of_a_process_are_heard(capfd: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C while another thread is in a block, or where a block has begun and will not end."""
    inside, left = threading.Event(), threading.Event()

    def other() -> None:
        with quiet_stderr():
            inside.set()
            left.wait(10)

    def run(_args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    parser = argparse.ArgumentParser("toolkit")
    parser.set_defaults(run=run)
    assert run_command(parser, []) == 130
    assert capfd.readouterr().err == "toolkit: interrupted\n"
    left.set()
    thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
