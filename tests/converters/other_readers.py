"""Other people's programs that read or make what we write, each in an environment of its own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.environments import ROOT, make_environment, python_for_tflite_runtime

HERE = Path(__file__).parent


def mediapipe_answers(
    model: Path, pictures: Sequence[NDArray[np.uint8]], folder: Path, options: Mapping[str, Any] | None = None
) -> list[Any]:
    """What MediaPipe's ImageClassifier says of pictures; see ``mediapipe_classify.py``."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("MediaPipe is tried on Linux on x86-64 only")
    python = make_environment("mediapipe", dependencies=["mediapipe==1.2.3"], with_project=False)
    np.savez(folder / "pictures.npz", *pictures)
    content: list[Any] = _run(
        python, "mediapipe_classify.py", model, folder, [str(folder / "pictures.npz")], [json.dumps(options or {})]
    )
    return content


def same_order(ours: list[tuple[str, float]], theirs: list[tuple[str, float]], tolerance: float) -> bool:
    """Whether both name the same classes with the same scores in the same order; equal scores in any."""
    given = dict(ours)
    scores_agree = given.keys() == dict(theirs).keys() and all(
        abs(given[name] - score) <= tolerance for name, score in theirs
    )
    ordered = [given[name] for name, _ in theirs]
    return scores_agree and ordered == sorted(ordered, reverse=True)


def tflite_support_content(model: Path, folder: Path) -> dict[str, Any]:
    """What tflite-support reads in a model's metadata; see ``tflite_support_read.py``."""
    if platform.machine() != "x86_64":
        pytest.skip("tflite-support 0.4.4 has a wheel for x86-64 only")
    python = make_environment(
        "tflite-support",
        dependencies=["tflite-support==0.4.4"],
        python=python_for_tflite_runtime(),
        with_project=False,
    )
    content: dict[str, Any] = _run(python, "tflite_support_read.py", model, folder)
    return content


def run_beside_tensorflow(name: str, dependencies: Sequence[str], script: str, folder: Path) -> dict[str, Any]:
    """What a script of ours says that needs TensorFlow and packages that this environment has not.

    Args:
        name: of the environment with those packages; TensorFlow and the rest are those of this one.
        dependencies: what to install in it.
        script: its file's name; it gets the folder and the file to write as arguments.
        folder: for its files.
    """
    python = make_environment(name, dependencies=dependencies, with_project=False)
    found = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]])
    content: dict[str, Any] = _run(python, script, folder, folder, environment={**os.environ, "PYTHONPATH": found})
    return content


def _run(
    python: Path,
    script: str,
    model: Path,
    folder: Path,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Any:
    out = folder / f"{script}.json"
    command = [str(python), str(HERE / script), str(model), *before, str(out), *after]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    if done.returncode and "does not load" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"))
