"""``python -m runtime.scoring MODEL IMAGES OUT``: run a model over prepared pictures in a process of its own.

Exports are proved this way: what crashes an interpreter then crashes a child, and TensorFlow, which cannot share
a process with every interpreter, is not in it.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.classifier import Classifier
from runtime.contract import read_contract
from runtime.errors import EdgeExportError, one_line
from runtime.interpreter import default_threads, interpreter_name
from runtime.peak_memory import forget_peak, peak_memory

# Invocations that are timed at most, and before that, not timed.
_TIMED, _WARM_UP = 50, 3
# Seconds after which a slow model is timed no longer, and invocations that are timed all the same.
_ENOUGH, _LEAST_TIMED = 1.0, 5


def score_images(model: Path, images: Path, out: Path) -> None:
    """Write ``scores``, float32 (count, classes), and ``facts``, JSON text, to an ``.npz`` file.

    The facts: ``interpreter``, ``threads``, ``latency_ms`` with so many threads and ``latency_one_thread_ms`` with
    one (medians), and ``peak_memory``, the bytes that the model adds to a process with the interpreter in it, or null.

    Args:
        model: a ``.tflite`` file.
        images: an ``.npz`` with ``images``, (count, height, width, 3), 0..255, resized already.
        out: the ``.npz`` to write.
    """
    facts: dict[str, Any] = {"interpreter": interpreter_name(), "threads": default_threads()}
    grey = _grey(model)
    facts["peak_memory"], classifier = _loaded(model, grey)
    with np.load(images, allow_pickle=False) as stored:
        pictures = stored["images"]
    picture = pictures[0] if len(pictures) else grey
    facts["latency_ms"] = facts["latency_one_thread_ms"] = _latency(classifier, picture)
    workers = [classifier]
    if facts["threads"] > 1:
        workers = [Classifier.load(model, threads=1) for _ in range(facts["threads"])]
        facts["latency_one_thread_ms"] = _latency(workers[0], picture)
    scores = _scores(workers, pictures)
    stacked = np.stack(scores) if scores else np.zeros((0, classifier.model.classes), np.float32)
    np.savez(out, scores=stacked, facts=np.array(json.dumps(facts)))


def _scores(workers: list[Classifier], pictures: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Of each picture, by several interpreters of one thread each: as quick as can be with any kernel."""
    idle: SimpleQueue[Classifier] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def score(pixels: NDArray[Any]) -> NDArray[np.float32]:
        worker = idle.get()
        try:
            return worker.scores(pixels)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(score, pictures))


def _loaded(model: Path, picture: NDArray[np.uint8]) -> tuple[int | None, Classifier]:
    """The model after its first run, and the memory that this took at most, bytes."""
    forget_peak()
    before = peak_memory()
    classifier = Classifier.load(model)
    classifier.scores(picture)
    after = peak_memory()
    return (None if before is None or after is None else max(0, after - before)), classifier


def _latency(classifier: Classifier, picture: NDArray[Any]) -> float:
    """Median time of one forward pass, milliseconds."""
    tensor = classifier.tensor(picture)
    for _ in range(_WARM_UP):
        classifier.model.run(tensor)
    durations: list[float] = []
    begun = time.perf_counter()
    while len(durations) < _TIMED:
        started = time.perf_counter()
        if len(durations) >= _LEAST_TIMED and started - begun > _ENOUGH:
            break
        classifier.model.run(tensor)
        durations.append((time.perf_counter() - started) * 1000)
    return float(np.median(durations))


def _grey(model: Path) -> NDArray[np.uint8]:
    pixels = read_contract(model).preprocessing
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
