"""``--camera pi``: the real picamera2 from PyPI, over a stand-in for libcamera (see ``libcamera_standin/``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.environments import make_environment

STANDIN = Path(__file__).parent / "libcamera_standin"
pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the stand-in needs Linux")
# What `import picamera2` loads; with all that it asks for it needs compilers and 200 MB.
PACKAGES = ["picamera2==0.3.38", "numpy", "pillow", "simplejpeg", "piexif", "PiDNG", "videodev2"]
INTERPRETER = [
    "ai-edge-litert",
    "backports.strenum",
    "flatbuffers",
    "tqdm",
    "typing-extensions",
    "protobuf",
    "ml-dtypes",
]


@pytest.fixture(scope="session")
def pi_python() -> Path:
    """Python of an environment with the device install and picamera2."""
    return make_environment("picamera", dependencies=["--no-deps", *PACKAGES, *INTERPRETER])


def started(python: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(python), *arguments],
        env=os.environ | {"PYTHONPATH": f"{STANDIN}{os.pathsep}{ROOT}"} | environment,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def watched(python: Path, model: Path, count: int, *options: str, **environment: str) -> tuple[list[Any], str, int]:
    """So many answers, what was logged, and the exit code after Ctrl-C."""
    command = ("-m", "runtime", "classify", "--camera", "pi", "--model", str(model), "--json", "--top-k", "1")
    process = started(python, *command, *options, **environment)
    assert process.stdout is not None
    answers = []
    while len(answers) < count and (line := process.stdout.readline()):
        answers.append(json.loads(line))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    return answers, err, process.returncode


def test_frames_with_their_colours_the_right_way_round(pi_python: Path, colours: Path) -> None:
    top, err, code = watched(pi_python, colours, 5, "--roi", "0.0,0.0,1.0,0.4")
    assert ([answer["predictions"][0]["class_id"] for answer in top], code) == ([0] * 5, 0)
    assert [answer["source"] for answer in top] == ["pi"] * 5
    assert err.startswith("--camera pi: ")
    low, _, _ = watched(pi_python, colours, 2, "--rotate", "180", "--roi", "0.0,0.0,1.0,0.4", "--size", "100x80")
    assert [answer["predictions"][0]["class_id"] for answer in low] == [2] * 2


def test_a_size_that_the_camera_does_not_take(pi_python: Path, colours: Path) -> None:
    _, err, code = watched(pi_python, colours, 1, "--size", "4000x3001", "--camera-fps", "50")
    assert "--camera pi: does not take --size 4000x3001; gives 1280x960\n" in err
    assert code == 0


def test_no_such_camera(pi_python: Path, colours: Path) -> None:
    answers, err, code = watched(pi_python, colours, 1, STANDIN_CAMERAS="0")
    assert (answers, code) == ([], 1)
    assert err.startswith("runtime: error: no camera pi: libcamera sees none")
    _, err, code = watched(pi_python, colours, 1, "--camera", "pi:3")
    assert err.startswith("runtime: error: no camera pi:3: libcamera sees 1, counted from 0")
    assert (err.count("\n"), code) == (1, 1)


def test_a_camera_that_stalls_is_closed_and_opened_again(pi_python: Path, colours: Path) -> None:
    command = ("-m", "runtime", "classify", "--camera", "pi", "--model", str(colours), "--camera-timeout", "0.5")
    process = started(pi_python, *command, STANDIN_STALLS_AFTER="5")
    assert process.stderr is not None
    assert process.stderr.readline() == "--camera pi: no frame for 0.5 s; opening it again\n"
    # It opens, which a camera that was not closed could not be again, and gives as little.
    assert process.stderr.readline() == "--camera pi: no frame for 0.5 s; next try in 1 s\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_signal_while_the_camera_stalls(pi_python: Path, colours: Path) -> None:
    answers, err, code = watched(pi_python, colours, 5, "--camera-timeout", "3000", STANDIN_STALLS_AFTER="5")
    assert len(answers) == 5
    assert "Traceback" not in err
    assert code == 0
