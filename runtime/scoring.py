"""``python -m runtime.scoring MODEL IMAGES OUT``: run a model over prepared pictures in a process of its own.

Exports are proved this way: what crashes an interpreter then crashes a child, and TensorFlow, which cannot share
a process with every interpreter, is not in it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from runtime.classifier import Classifier
from runtime.errors import EdgeExportError, one_line
from runtime.interpreter import default_threads, interpreter_name

# Invocations that are timed at most, and before that, not timed.
_TIMED, _WARM_UP = 50, 3


def score_images(model: Path, images: Path, out: Path) -> None:
    """Write ``scores``, float32 (count, classes), and ``facts``, JSON text, to an ``.npz`` file.

    Args:
        model: a ``.tflite`` file.
        images: an ``.npz`` with ``images``, (count, height, width, 3), 0..255, resized already.
        out: the ``.npz`` to write.
    """
    classifier = Classifier.load(model)
    with np.load(images, allow_pickle=False) as stored:
        pictures = stored["images"]
    scores = [classifier.scores(pixels) for pixels in pictures]
    tensor = classifier.tensor(pictures[0] if len(pictures) else _grey(classifier))
    durations = []
    for number in range(_WARM_UP + _TIMED):
        started = time.perf_counter()
        classifier.model.run(tensor)
        if number >= _WARM_UP:
            durations.append((time.perf_counter() - started) * 1000)
    facts = {
        "interpreter": interpreter_name(),
        "threads": default_threads(),
        "latency_ms": float(np.median(durations)),
    }
    stacked = np.stack(scores) if scores else np.zeros((0, classifier.model.classes), np.float32)
    np.savez(out, scores=stacked, facts=np.array(json.dumps(facts)))


def _grey(classifier: Classifier) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = classifier.contract.preprocessing
    return np.full((pixels.height, pixels.width, 3), 127, np.uint8)


def main() -> int:
    """Run with the three paths of ``sys.argv``; returns the exit code."""
    try:
        score_images(*(Path(argument) for argument in sys.argv[1:4]))
    except EdgeExportError as error:
        sys.stderr.write(f"error: {one_line(error)}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
