"""Runs a ``.tflite`` file in a process of its own, on any interpreter that is installed somewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import runtime
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.interpreter import CHOICE_VARIABLE

# Seconds: generous, since a thousand pictures on a slow processor take minutes.
_TIMEOUT = 3600


def run_in_process(
    model: Path, images: Path, python: str = sys.executable, interpreter: str | None = None
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Scores and facts of ``runtime.scoring`` in a new process.

    Args:
        model: a ``.tflite`` file.
        images: an ``.npz`` file with ``images``.
        python: the Python to run; its environment needs numpy, Pillow and a TFLite interpreter.
        interpreter: distribution name of the TFLite interpreter, for an environment that has several; None takes the
            one that ``runtime`` takes.

    Raises:
        ModelError: the process fails, crashes or hangs.
    """
    name = shown(model.name)
    where = f" on {interpreter}" if interpreter else ""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.npz"
        command = [python, "-m", "runtime.scoring", str(model.resolve()), str(images.resolve()), str(out)]
        try:
            # In an empty folder: `-m` looks for modules in the current one first, and a user's may hold a json.py.
            done = subprocess.run(  # noqa: S603 - our own module, with paths as arguments
                command,
                cwd=folder,
                capture_output=True,
                env=child_environment(interpreter),
                timeout=_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"{name} does not end within {_TIMEOUT} seconds{where}") from None
        if done.returncode != 0:
            raise ModelError(f"{name} does not run{where}: {_reason(done)}")
        with np.load(out, allow_pickle=False) as stored:
            return stored["scores"], json.loads(str(stored["facts"]))


def child_environment(interpreter: str | None = None) -> dict[str, str]:
    """The environment of a process that runs this very ``runtime``, wherever it was imported from.

    Args:
        interpreter: that it is to take, where several are installed.
    """
    environment = dict(os.environ)
    if interpreter is not None:
        environment[CHOICE_VARIABLE] = interpreter
    package_root = str(Path(runtime.__path__[0]).resolve().parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, environment.get("PYTHONPATH")]))
    return environment


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"the interpreter crashed ({signal_name(-done.returncode)})"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    # Interpreters log from C++ to the same place, also when they are taken down.
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines
    return told[-1] if told else f"exit code {done.returncode}"


def signal_name(number: int) -> str:
    """Of a signal; those for real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
