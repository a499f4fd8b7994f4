"""The lone picture that is decoded beside the loading of the interpreter, with real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from runtime.processors import processors
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or processors() < 2, reason="needs fork and a second processor")

# Runs ``runtime`` with what is said here in front.
COMMAND = """
import sys, time, os, signal
import runtime.ahead
{before}
sys.argv[0] = "runtime"
from runtime.__main__ import main
sys.exit(main())
"""


def start(*words: str | Path, before: str = "", alone: bool = False) -> subprocess.Popen[str]:
    """``runtime`` in a process group of its own; alone on one processor there is nothing to gain."""
    if alone:
        before += "\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(before=before), *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def run(*words: str | Path, before: str = "", alone: bool = False) -> tuple[int, str, str]:
    process = start(*words, before=before, alone=alone)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def predictions(out: str) -> object:
    return json.loads(out)["predictions"]


# Says on standard error, at the end, what came of the child's work, and whether numpy was loaded when it began.
WATCH = """
begin, take = runtime.ahead.decode_ahead, runtime.ahead.Ahead.take
def watched(options):
    print("numpy:", "numpy" in sys.modules, file=sys.stderr)
    return begin(options)
def taken(self, preprocessing):
    found = take(self, preprocessing)
    print("taken:", found is not None, file=sys.stderr)
    return found
runtime.ahead.decode_ahead, runtime.ahead.Ahead.take = watched, taken
"""


def test_the_answer_is_the_same_with_and_without_it(colours: Path, photos: Path, tmp_path: Path) -> None:
    turned = tmp_path / "gedreht ü.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos / "red.png").convert("RGB").resize((90, 60)).save(turned, exif=exif)
    for picture in (photos / "red.png", turned):
        for more in ((), ("--resample", "bicubic"), ("--resample", "tf-bilinear")):
            words = ("classify", "--json", "--model", colours, picture, *more)
            code, out, err = run(*words, before=WATCH)
            assert code == 0, err
            assert "numpy: False" in err
            assert f"taken: {'tf-bilinear' not in more}" in err
            assert predictions(out) == predictions(run(*words, alone=True)[1])


def test_what_is_wrong_is_said_as_ever(colours: Path, photos: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes((photos / "red.png").read_bytes()[:45])
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    for name in ("cut.png", "text.jpg", "empty.jpg", "missing.jpg"):
        for model in (colours, tmp_path / "text.jpg", tmp_path / "no.tflite"):
            words = ("classify", "--model", model, tmp_path / name)
            code, out, err = run(*words)
            assert code in (1, 2), err
            assert out == ""
            assert err.count("\n") == 1
            assert (code, out, err) == run(*words, alone=True)


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)", "1 / 0"])
def test_a_child_that_dies_is_no_matter(colours: Path, photos: Path, end: str) -> None:
    before = WATCH + f"\nruntime.ahead._answer = lambda *_: {end}"
    words = ("classify", "--json", "--model", colours, photos / "red.png")
    code, out, err = run(*words, before=before)
    assert code == 0
    assert "taken: False" in err
    assert "Traceback" not in err
    assert predictions(out) == predictions(run(*words, alone=True)[1])


# Sends a signal to the child that decodes before it can do anything.
AT_ONCE = """
def begun(options, begin=runtime.ahead.decode_ahead, fork=os.fork):
    def forked():
        child = fork()
        if not child:
            os.kill(os.getpid(), signal.{name})
        return child
    os.fork = forked
    return begin(options)
runtime.ahead.decode_ahead = begun
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_child_that_a_signal_meets_at_its_start_says_nothing(colours: Path, photos: Path, name: str) -> None:
    words = ("classify", "--json", "--model", colours, photos / "red.png")
    code, out, err = run(*words, before=AT_ONCE.format(name=name))
    assert (code, err) == (0, "")
    assert predictions(out) == predictions(run(*words, alone=True)[1])


def test_half_an_answer_and_that_of_another_model_are_not_taken(colours: Path, photos: Path) -> None:
    for change in ("answer[:-5]", "answer.replace(b'height', b'width ')"):
        before = WATCH + "\nwhole = runtime.ahead._answer\ndef part(*given):\n    answer = whole(*given)\n"
        before += f"    return {change}\nruntime.ahead._answer = part"
        code, _, err = run("classify", "--model", colours, photos / "red.png", before=before)
        assert code == 0, err
        assert "taken: False" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_decoder_that_hangs(colours: Path, photos: Path, tmp_path: Path, number: int) -> None:
    mark = tmp_path / "mark"
    before = f"def stuck(*_):\n    open({str(mark)!r}, 'w').close()\n    time.sleep(600)\nruntime.ahead._answer = stuck"
    process = start("classify", "--model", colours, photos / "red.png", before=before)
    try:
        deadline = time.monotonic() + 60
        while not mark.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)  # it waits for the child now, or is about to
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 128 + number, err
        while processes_of(process.pid):  # the session's: all that it had started
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()


def processes_of(session: int) -> list[int]:
    """Processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry.parent.name))
    return found
