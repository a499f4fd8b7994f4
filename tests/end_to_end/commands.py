"""Runs the project's commands as a user does: processes of their own, in a folder of their own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any


def run(*command: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command without the test run's Python settings; it must end with the exit code ``code``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def runtime(python: Path, *arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The ``runtime`` command of an environment."""
    return run(python.parent / "runtime", *arguments, cwd=cwd, code=code)


def answers(output: str) -> list[dict[str, Any]]:
    """What ``runtime classify --json`` printed."""
    return [json.loads(line) for line in output.splitlines()]


def scores(answer: dict[str, Any]) -> list[float]:
    """All scores of an answer, in the order of the class ids."""
    by_class = sorted(answer["predictions"], key=lambda prediction: prediction["class_id"])
    return [prediction["score"] for prediction in by_class]
