"""Crashes, signals and endings, with real processes; the crashing interpreter is a stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime import guard
from tests.conftest import ROOT

Start = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the command has a parent only where there is fork")

# An interpreter that is sound but for what is put in at the two places.
STAND_IN = """
import os, pathlib, signal, time
import numpy as np
def stuck():
    signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGINT, signal.SIGTERM, signal.SIGHUP}})
    pathlib.Path({here!r}, "pid").write_text(str(os.getpid()))
    time.sleep(60)
class Interpreter:
    def __init__(self, **options): {load}
    def allocate_tensors(self): pass
    def get_input_details(self):
        return [dict(index=0, shape=[1, 8, 8, 3], dtype=np.float32, quantization=(0, 0))]
    def get_output_details(self): return [dict(index=1, shape=[1, 3], dtype=np.float32, quantization=(0, 0))]
    def set_tensor(self, index, tensor): pass
    def invoke(self): {run}
    def get_tensor(self, index): return np.float32([[1, 0, 0]])
"""


@pytest.fixture
def start(tmp_path: Path, colours: Path, photos: Path) -> Iterator[Start]:
    """A function that starts ``runtime classify`` with a stand-in for the interpreter."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, load: str = "pass", invoke: str = "pass") -> subprocess.Popen[str]:
        package = tmp_path / "stand_in" / "ai_edge_litert"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        text = STAND_IN.format(here=str(tmp_path), load=load, run=invoke)
        (package / "interpreter.py").write_text(text, encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": f"{package.parent}{os.pathsep}{ROOT}", "PYTHONFAULTHANDLER": ""}
        words = arguments or ("classify", "--model", str(colours), str(photos / "red.png"))
        command = [sys.executable, "-m", "runtime", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, env=environment, encoding="utf-8", **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.__exit__(None, None, None)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str]:
    err = process.communicate(timeout=60)[1]
    return process.returncode, err


def pid_of_stuck(tmp_path: Path) -> int:
    """The child's number, once it is stuck."""
    for _ in range(600):
        if (tmp_path / "pid").exists() and (text := (tmp_path / "pid").read_text()):
            return int(text)
        time.sleep(0.05)
    pytest.fail("the stand-in was never reached")


def test_a_command_that_does_well(start: Start) -> None:
    process = start()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "100.0%  red" in out


@pytest.mark.parametrize(
    ("name", "what"),
    [("SIGSEGV", "segmentation fault"), ("SIGABRT", "abort"), ("SIGBUS", "bus error"), ("SIGFPE", "arithmetic error")],
)
def test_a_model_that_crashes_the_interpreter(start: Start, colours: Path, name: str, what: str) -> None:
    code, err = outcome(start(load=f"os.kill(os.getpid(), signal.{name})"))
    assert code == 1
    assert err == (
        f"runtime: error: {colours}: the interpreter or a decoder crashed ({what}); a damaged file does that: "
        "convert the model again, or fetch it again\n"
    )


def test_a_crash_at_a_picture_names_it(start: Start, colours: Path, photos: Path) -> None:
    code, err = outcome(start(invoke="os.abort()"))
    assert code == 1
    assert err.startswith(f"runtime: error: {photos / 'red.png'} and {colours}: the interpreter or a decoder crashed")
    assert err.count("\n") == 1


def test_what_was_answered_before_a_crash_is_printed(start: Start, colours: Path, photos: Path) -> None:
    crash = "Interpreter.count = getattr(Interpreter, 'count', 0) + 1; Interpreter.count == 100 and os.abort()"
    process = start("classify", "--model", str(colours), *[str(photos)] * 50, invoke=f"time.sleep(0.01); {crash}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 50 < out.count("100.0%  red") < 100  # each thread has taken some ahead
    assert err.count("runtime: error: ") == 1
    assert ".png or a picture shortly before it and" in err


def test_killed_for_lack_of_memory(start: Start, colours: Path) -> None:
    code, err = outcome(start(load="os.kill(os.getpid(), signal.SIGKILL)"))
    advice = "use smaller pictures, or a smaller model"
    assert (code, err) == (1, f"runtime: error: {colours}: killed, most likely for lack of memory; {advice}\n")


@pytest.mark.parametrize(
    ("arguments", "code"), [(("classify",), 2), (("classify", "none.jpg"), 2), (("classify", "--help"), 0)]
)
def test_exit_codes_pass(start: Start, arguments: tuple[str, ...], code: int) -> None:
    assert outcome(start(*arguments))[0] == code


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_signals_end_even_what_is_stuck_in_c_code(
    start: Start, tmp_path: Path, number: int, code: int, text: str
) -> None:
    process = start(invoke="stuck()")
    child = pid_of_stuck(tmp_path)
    assert child != process.pid
    process.send_signal(number)
    assert outcome(process) == (code, f"runtime: {text}\n")
    assert not alive(child)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_gives_one_message(start: Start, number: int, code: int) -> None:
    process = start(invoke="print('running', flush=True); time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(number)
    what = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert outcome(process) == (code, f"runtime: {what}\n")


def test_the_child_ends_when_its_parent_is_killed(start: Start, tmp_path: Path) -> None:
    process = start(invoke="stuck()")
    child = pid_of_stuck(tmp_path)
    process.kill()
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        status = Path(f"/proc/{number}/stat").read_text() if Path("/proc/self/stat").exists() else ""
        os.kill(number, 0)
    except (OSError, FileNotFoundError):
        return False
    return ") Z " not in status


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["classify", "a.jpg"], True),
        (["classify", "--json", "a.jpg"], True),
        (["benchmark", "m.tflite"], True),
        (["classify", "--camera", "0"], False),
        (["classify", "--camera=0"], False),
        (["classify", "--cam", "0"], False),
        (["serve", "--camera", "0"], False),
        (["info", "m.tflite"], False),
        (["--help"], False),
        ([], False),
    ],
)
def test_which_commands_run_in_a_child(words: list[str], expected: bool) -> None:
    assert guard.wanted(words) is expected


def test_notes_cost_nothing_without_a_parent() -> None:
    guard.loading("model.tflite")
    guard.looking_at("picture.jpg")
    assert not guard.is_child()
