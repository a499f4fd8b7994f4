"""The command as a real process: pipes that close, signals, locales, streams that are not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes of POSIX")
# What shells say of programs that SIGPIPE ends: 128 + 13.
READER_GONE = 141


@pytest.fixture
def many(photos: Path) -> Path:
    """A folder that takes seconds."""
    for number in range(3000):
        (photos / f"red {number}.png").hardlink_to(photos / "red.png")
    return photos


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts ``python -m runtime.cli arguments``."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runtime.cli", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        started.append(subprocess.Popen(command, env=environment, encoding="utf-8", **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.__exit__(None, None, None)  # closes the pipes


def test_a_reader_that_goes_away(many: Path, colours: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("classify", "--model", str(colours), str(many))
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == READER_GONE


def test_a_reader_of_both_streams_that_goes_away(
    many: Path, colours: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    (many / "0.png").write_bytes(b"text")
    process = start("classify", "--model", str(colours), str(many), stderr=subprocess.STDOUT)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("skipped")
    process.stdout.close()
    assert process.wait(timeout=20) == READER_GONE


@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"], ["info", "MODEL"]])
def test_a_reader_that_was_never_there(
    arguments: list[str], colours: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*(str(colours) if word == "MODEL" else word for word in arguments), stdout=writing)
    os.close(writing)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == READER_GONE


def test_ctrl_c(many: Path, colours: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start("classify", "--model", str(colours), str(many))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "runtime: interrupted\n"
    assert len(out.splitlines()) < 6000


def test_the_last_line_on_a_terminal_stands_under_what_the_terminal_shows(
    many: Path, colours: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    terminal, other_end = os.openpty()
    process = start("classify", "--model", str(colours), str(many), stderr=other_end)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    os.close(other_end)
    assert os.read(terminal, 1000) == b"\r\nruntime: interrupted\r\n"
    os.close(terminal)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk(photos: Path, colours: Path, run_module: Run) -> None:
    with Path("/dev/full").open("w") as full:
        streams = {"capture_output": False, "stdout": full, "stderr": subprocess.PIPE}
        for arguments in (
            ["classify", str(photos), "--model", str(colours)],
            ["info", str(colours)],
            ["--help"],
            ["classify", "--help"],
        ):
            done = run_module(*arguments, **streams)
            assert done.returncode == 1
            assert done.stderr == "runtime: error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-"])
def test_streams_that_are_closed(closed: str, photos: Path, colours: Path, run_module: Run) -> None:
    script = f'exec "$0" -m runtime.cli classify --json "$1" --model "$2" {closed}'
    command = ["sh", "-c", script, sys.executable, str(photos), str(colours)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    sources = [json.loads(line)["source"] for line in done.stdout.splitlines()]
    assert (done.returncode, len(sources)) == ((0, 3) if closed == "2>&-" else (1, 0))
    wrong = "runtime: error: standard output cannot be written: it is closed\n"
    assert done.stderr == (wrong if closed == ">&-" else "")


@pytest.mark.parametrize("utf8", ["", "0"])
def test_a_locale_without_unicode(utf8: str, photos: Path, colours: Path, run_module: Run) -> None:
    """``LC_ALL=C`` as in cron and containers; and with Python's own help against it turned off."""
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    path = photos / "绿 green.png"
    (photos / "green.png").rename(path)
    done = run_module("classify", "--model", str(colours), "--top-k", "1", str(path), env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("  緑 grün\n")
    done = run_module("classify", "--model", str(colours), "--json", str(path), env=environment)
    answer = json.loads(done.stdout)
    assert answer["predictions"][0]["label"] == "緑 grün"
    assert answer["source"].encode("utf-8", "surrogateescape") == os.fsencode(path)


def test_a_name_that_is_no_unicode(photos: Path, colours: Path, run_module: Run) -> None:
    path = Path(os.fsdecode(os.fsencode(photos) + b"/\xff.png"))
    try:
        (photos / "red.png").rename(path)
    except OSError:
        pytest.skip("this file system takes Unicode only")
    done = run_module("classify", "--model", str(colours), str(photos))
    assert done.returncode == 0
    assert "\\udcff.png'\n" in done.stdout


def test_pipes_and_devices_as_paths(tmp_path: Path, colours: Path, photos: Path, run_module: Run) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    model = ("--model", str(colours))
    for arguments, code in (
        ((str(pipe), *model), 1),
        (("/dev/zero", *model), 1),
        ((str(photos), "--model", str(pipe)), 1),
        ((str(photos), "--labels", str(pipe), *model), 1),
    ):
        done = run_module("classify", *arguments, timeout=20)
        assert done.returncode == code
        assert "is not a regular file" in done.stderr
        assert "Traceback" not in done.stderr


def test_damaged_tiffs_are_skipped_with_one_line_each(
    photos: Path, colours: Path, encoded: Callable[..., bytes], run_module: Run
) -> None:
    """Their decoder speaks to the terminal too, past Python."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    for number in range(30):
        for kind in ("tiff_lzw", "tiff_adobe_deflate"):
            data = bytearray(encoded(noise, "TIFF", compression=kind))
            data[2000:4000] = bytes(2000)
            (photos / f"{kind} {number}.tif").write_bytes(data)
    done = run_module("classify", "--model", str(colours), "--threads", "1", str(photos))
    assert done.returncode == 0
    *skipped, totals, count = done.stderr.splitlines()
    assert len(skipped) == 60
    assert all(line.startswith("skipped: ") and "damaged or truncated picture" in line for line in skipped)
    assert (totals.split(";")[0], count) == ("3 pictures", "60 skipped, listed above")


def test_odd_exif_is_no_news(photos: Path, colours: Path, encoded: Callable[..., bytes], run_module: Run) -> None:
    from PIL import Image

    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\1" * 40
    (photos / "odd.jpg").write_bytes(encoded(Image.new("RGB", (9, 9)), "JPEG", exif=exif))
    done = run_module("classify", "--model", str(colours), str(photos / "odd.jpg"))
    assert (done.returncode, done.stderr) == (0, "")


# A signal comes where exceptions are dropped: while an object is finalized, or asked something by code in C, as
# TensorFlow does; what follows has no end of its own.
DROPPED = """\
import argparse, ctypes, signal, sys, time
from runtime.command import run_command

came = []

def come():
    if not came:
        came.append(True)
        signal.raise_signal(int(sys.argv[1]))

class Finalized:
    def __del__(self):
        come()

class Asked:
    def __getattr__(self, name):
        come()
        raise AttributeError(name)

class Kind(type):
    def __instancecheck__(cls, instance):
        come()
        return True

class Checked(metaclass=Kind):
    pass

def run(args):
    if sys.argv[2] == "finalized":
        Finalized()
    elif sys.argv[2] == "asked":
        ctypes.pythonapi.PyObject_HasAttrString(ctypes.py_object(Asked()), b"name")
    else:
        try:
            isinstance(1, Checked)
        except KeyboardInterrupt:
            raise SystemExit("what C code makes of it") from None
    time.sleep(20)
    return 0

parser = argparse.ArgumentParser(prog="runtime")
parser.set_defaults(run=run)
raise SystemExit(run_command(parser, []))
"""


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGINT, 130, "runtime: interrupted"), (signal.SIGTERM, 143, "runtime: ended by SIGTERM")],
)
@pytest.mark.parametrize("where", ["finalized", "asked", "checked"])
def test_a_signal_that_would_be_dropped_ends_the_command_all_the_same(
    where: str, number: int, code: int, line: str
) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DROPPED, str(int(number)), where]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.splitlines()) == (code, [line])


# As numpy does where one of its libraries is missing, or made for another processor.
BROKEN_NUMPY = """\
try:
    raise ImportError("libopenblas.so: wrong ELF class")
except ImportError as error:
    raise ImportError(f"\\n\\nIMPORTANT: PLEASE READ THIS\\n\\nOriginal error was: {error}\\n") from error
"""


@pytest.mark.parametrize("arguments", [["classify", "red.png", "--model"], ["classify", "--camera", "test", "--model"]])
def test_a_numpy_that_does_not_load(arguments: list[str], photos: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(BROKEN_NUMPY)
    command = [sys.executable, "-m", "runtime", *arguments, str(colours)]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ended = subprocess.run(
        command, cwd=photos, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    line = "runtime: error: a package that is needed does not load: libopenblas.so: wrong ELF class; install it anew, "
    assert (ended.returncode, ended.stderr) == (1, f"{line}`runtime doctor` says more\n")
