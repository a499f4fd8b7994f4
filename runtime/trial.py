"""``python -m runtime.trial``: a model is loaded and run once in a process of its own, so that a crash is a message.

For what runs for long, a camera's loop, the live page, and a model that takes another's place while they run: they
have no parent that outlives them (see ``runtime.guard``), but a model that has run once on a picture of its input's
size runs on every other.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import EdgeExportError, ModelError
from runtime.file_kind import shown

if TYPE_CHECKING:
    from runtime.options import ModelOptions

# Seconds for one start of Python, one load and one run; the slowest devices and models take a quarter of it.
_PATIENCE = 120.0


def try_model(options: ModelOptions) -> None:
    """Load a model and run it once, in a child process.

    What the child refuses in an orderly way is no matter here: loading it says so again, in better words.

    Args:
        options: which model, and how it is run.

    Raises:
        ModelError: it crashes the interpreter, or does not answer.
        UsageError: no model file there.
    """
    from runtime.find_model import find_model

    path = find_model(options.model)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    command = [sys.executable, "-m", "runtime.trial"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    try:
        done = subprocess.run(command, input=pickle.dumps(options), timeout=_PATIENCE, check=False, **streams)  # type: ignore[call-overload]  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ModelError(f"{shown(path)}: the model does not answer within {_PATIENCE:.0f} s") from None
    except OSError:  # no more processes, or no memory for one: better untried than not at all
        return
    if done.returncode < 0:
        raise ModelError(_explain(path, -done.returncode))


def _explain(path: Path, number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return f"{shown(path)}: killed when it was tried, most likely for lack of memory; use a smaller model"
    return f"{shown(path)}: crashes the interpreter ({name}); convert the model again, or fetch it again"


def main() -> int:
    """The child: options on standard input; always 0, for a crash is all that it can say."""
    with suppress(EdgeExportError, MemoryError):
        _run(pickle.loads(sys.stdin.buffer.read()))  # noqa: S301 - the parent's own
    return 0


def _run(options: ModelOptions) -> None:
    import numpy as np

    from runtime.find_model import load_model

    classifier = load_model(options, io.StringIO())
    pixels = classifier.contract.preprocessing
    classifier.classify(np.full((pixels.height, pixels.width, 3), 127, np.uint8))


if __name__ == "__main__":
    raise SystemExit(main())
