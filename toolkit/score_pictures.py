"""A ``.tflite`` file over many pictures, by several workers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.classifier import Classifier
from runtime.contract import ModelContract
from runtime.errors import ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel
from runtime.preprocess import resize
from runtime.processors import processors
from runtime.quiet import quiet_stderr

# Pictures that wait for each worker: memory stays flat, and Ctrl-C need not wait for them.
_QUEUE = 8


def score_pictures(
    contract: ModelContract, pictures: Sequence[tuple[str, Path]], workers: int | None = None
) -> Iterator[NDArray[np.float32] | ImageError]:
    """Scores of each picture, float32 (classes,), in order; a picture that cannot be used yields its error.

    Each worker thread decodes a picture and runs its own one-thread interpreter; both release Python's lock.

    Args:
        contract: of the model file.
        pictures: hex sha256 of the content, and path, of each.
        workers: threads; None takes one for each processor of this process.

    Raises:
        ModelError: the interpreter refuses the model, or fails.
    """
    workers = workers or processors()
    with quiet_stderr():
        idle = [Classifier(contract, LoadedModel(contract.file.path, threads=1)) for _ in range(workers)]
    local = threading.local()

    def work(digest: str, path: Path) -> NDArray[np.float32] | ImageError:
        if not hasattr(local, "classifier"):
            local.classifier = idle.pop()  # atomic; there is one for each thread
        try:
            data = read_image_bytes(path)
            if hashlib.sha256(data).hexdigest() != digest:
                return ImageError(f"{shown(path)}: was changed while the evaluation ran")
            pixels = resize(decode_image(data, path), contract.preprocessing)
        except ImageError as error:
            return error
        scores: NDArray[np.float32] = local.classifier.scores(pixels)
        return scores

    with ThreadPoolExecutor(workers) as pool:
        queue: list[Future[NDArray[np.float32] | ImageError]] = []
        try:
            for digest, path in pictures:
                queue.append(pool.submit(work, digest, path))
                if len(queue) >= _QUEUE * workers:
                    yield queue.pop(0).result()
            for future in queue:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
