"""``toolkit train`` as a process of its own, that is watched and ended at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from converters.bundle import ModelBundle

ROOT = Path(__file__).parents[2]
#: The smallest network, with random weights: what is tested does not depend on it.
SMALL = ("--architecture", "mobilenet_0.25_128", "--weights", "none")
_PATIENCE = 240.0


class Training:
    """One process of ``toolkit``.

    Args:
        words: of the command line.
        environment: beside this process's own.
    """

    def __init__(self, *words: object, **environment: str) -> None:
        self.said = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "toolkit.cli", *map(str, words)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A test run in the background has Ctrl-C ignored, and its children, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def wait_for(self, happened: str | Callable[[], object]) -> None:
        """Until a text was printed, or a function says yes; an error where the process ends before."""
        deadline = time.monotonic() + _PATIENCE
        while not (happened in self._read() if isinstance(happened, str) else happened()):
            assert self._process.poll() is None, f"it ended before {happened}: {self._read()}"
            assert time.monotonic() < deadline, f"no {happened}: {self.said}"
            time.sleep(0.005)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns what the process ends with."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Until it ends; returns its code."""
        deadline = time.monotonic() + _PATIENCE
        while self._process.poll() is None:
            self._read()
            assert time.monotonic() < deadline, self.said
            time.sleep(0.005)
        self._read()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert "Traceback" not in self.said, self.said
        assert "Exception ignored" not in self.said, self.said
        return self._process.returncode

    def _read(self) -> str:
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read(1 << 16):
            self.said += chunk.decode(errors="replace")
        return self.said


def train(pictures: Path, folder: Path, *options: object, **environment: str) -> Training:
    """Start a training with bundle and cache in ``folder``."""
    places = ("--output-dir", folder / "model", "--cache-dir", folder / "cache")
    return Training("train", pictures, *places, *SMALL, *options, **environment)


def assert_whole_or_absent(bundle: Path) -> None:
    """Nobody must ever see half a bundle."""
    if bundle.exists():
        assert ModelBundle.load(bundle).is_sound()
        assert (bundle / "report.html").read_bytes().rstrip().endswith(b"</html>")
