"""A model is loaded and run once in a process of its own: what crashes the interpreter crashes a child."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from runtime.contract import Overrides
from runtime.errors import EdgeExportError, ModelError, UsageError, one_line
from runtime.file_kind import shown
from runtime.options import ModelOptions

# The slowest device takes some seconds to start Python, and a large model some more.
_LONGEST = 180


def try_model(path: Path, options: ModelOptions) -> None:
    """Load the file and give it a grey picture, elsewhere.

    Args:
        path: of the ``.tflite`` file.
        options: how it is used; its ``model`` does not count.

    Raises:
        ModelError: it cannot be used, or its process did not survive.
        UsageError: nobody says how to normalise pixels, say.
    """
    said = options.overrides
    asked = {
        "labels": None if said.labels is None else str(said.labels.absolute()),
        "mean": said.mean,
        "std": said.std,
        "resample": said.resample,
        "threads": options.threads,
    }
    command = [sys.executable, "-m", "runtime.trial", str(path.absolute()), json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LONGEST, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise ModelError(f"{shown(path)}: does not answer within {_LONGEST} s") from None
    except OSError as error:
        raise ModelError(f"{shown(path)}: cannot be tried in a process of its own: {error.strerror}") from error
    if done.returncode == 0:
        return
    text = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelError(
            f"{shown(path)}: the interpreter crashes with this model ({name}); it was tried in a child process"
        )
    raise (UsageError if done.returncode == UsageError.exit_code else ModelError)(
        text or f"{shown(path)}: cannot be loaded (exit code {done.returncode})"
    )


def main() -> int:
    """The child: path and options as JSON in ``sys.argv``; errors go to standard output, one line."""
    from runtime.classifier import Classifier

    asked = json.loads(sys.argv[2])
    labels = None if asked["labels"] is None else Path(asked["labels"])
    mean, std = (None if asked[name] is None else tuple(asked[name]) for name in ("mean", "std"))
    overrides = Overrides(labels, mean, std, asked["resample"])
    try:
        import numpy as np

        classifier = Classifier.load(Path(sys.argv[1]), overrides, asked["threads"])
        pixels = classifier.contract.preprocessing
        classifier.classify(np.full((pixels.height, pixels.width, 3), 127, np.uint8))
    except EdgeExportError as error:
        print(one_line(error), flush=True)  # noqa: T201 - what the parent reads
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
