"""Pictures to feature vectors: the frozen backbone on the device interpreter, cached by content."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel, processors
from runtime.preprocess import normalize, resize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing
from toolkit.backbones.registry import Backbone
from toolkit.records import ImageRecord
from toolkit.feature_cache import FeatureCache
from toolkit.progress import progress_bar

# Computed vectors are stored when this many seconds have passed: what a kill can cost.
_STORE_EVERY = 1.0


@dataclass(frozen=True)
class FeatureTable:
    """Features of a data set.

    Attributes:
        vectors: content digest -> float32 (features,).
        failures: content digest -> why the picture could not be decoded.
        from_cache: how many vectors were not computed now.
        seconds: the computation took.
    """

    vectors: dict[str, NDArray[np.float32]]
    failures: dict[str, str]
    from_cache: int
    seconds: float


def feature_space(backbone: Backbone, preprocessing: Preprocessing) -> str:
    """Hex digest of all that decides a feature vector beside the picture."""
    parts = (
        "edge-export-toolkit features 1",
        backbone.architecture.name,
        backbone.digest,
        preprocessing.digest(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def extract_features(
    backbone: Backbone, preprocessing: Preprocessing, images: Sequence[ImageRecord], cache_dir: Path
) -> FeatureTable:
    """Look every picture up in the cache and compute what is missing.

    Each worker thread decodes a picture and runs its own one-thread interpreter; both release Python's lock,
    so decoding and computing overlap and all cores are busy.

    Args:
        backbone: the frozen network.
        preprocessing: for its input.
        images: pictures; a content that stands twice is computed once.
        cache_dir: of the toolkit; the cache is ``features.sqlite`` in it.

    Raises:
        DataError: the cache cannot be used.
    """
    space = feature_space(backbone, preprocessing)
    pending = {image.digest: image.path for image in images}
    with FeatureCache(cache_dir / "features.sqlite") as cache:
        vectors = cache.get(space, pending)
        cached = len(vectors)
        for content in vectors:
            del pending[content]
        failures: dict[str, str] = {}
        started = time.monotonic()
        if pending:
            model = backbone.tflite(cache_dir)
            with progress_bar("Computing features", cached + len(pending), done=cached) as bar:
                fresh: dict[str, NDArray[np.float32]] = {}
                stored = time.monotonic()
                try:
                    for content, result in compute(model, preprocessing, list(pending.items())):
                        bar.update()
                        if isinstance(result, ImageError):
                            failures[content] = str(result).removeprefix(f"{shown(pending[content])}: ")
                            continue
                        vectors[content] = fresh[content] = result
                        if time.monotonic() - stored >= _STORE_EVERY:
                            cache.put(space, fresh)
                            fresh, stored = {}, time.monotonic()
                finally:
                    cache.put(space, fresh)  # Ctrl-C keeps what was computed
        seconds = time.monotonic() - started
    return FeatureTable(vectors, failures, cached, seconds)


def compute(
    model: bytes,
    preprocessing: Preprocessing,
    pictures: Sequence[tuple[str, Path]],
    workers: int | None = None,
) -> Iterator[tuple[str, NDArray[np.float32] | ImageError]]:
    """Features of each picture, in order; a picture that cannot be decoded yields its error.

    Args:
        model: a float32 TFLite backbone.
        preprocessing: for its input.
        pictures: hex sha256 of the content, and path, of each.
        workers: threads; None takes one for each processor of this process.
    """
    workers = workers or processors()
    with quiet_stderr():
        models = [LoadedModel(model, threads=1) for _ in range(workers)]
    local = threading.local()

    def work(digest: str, path: Path) -> NDArray[np.float32] | ImageError:
        if not hasattr(local, "model"):
            local.model = models.pop()  # atomic; there is one for each thread
            local.tensor = np.empty(local.model.input_shape, np.float32)
        try:
            data = read_image_bytes(path)
            if hashlib.sha256(data).hexdigest() != digest:  # its features would stand in the cache for another picture
                return ImageError(f"{shown(path)}: was changed while the training ran")
            image = decode_image(data, path)
        except ImageError as error:
            return error
        normalize(resize(image, preprocessing), preprocessing, out=local.tensor[0])
        features: NDArray[np.float32] = local.model.run(local.tensor)
        return features

    with ThreadPoolExecutor(workers) as pool:
        # A short queue: memory stays flat whatever the number of pictures, and Ctrl-C need not wait for them.
        queue: list[tuple[str, Future[NDArray[np.float32] | ImageError]]] = []
        try:
            for digest, path in pictures:
                queue.append((digest, pool.submit(work, digest, path)))
                if len(queue) >= 8 * workers:
                    first, future = queue.pop(0)
                    yield first, future.result()
            for digest, future in queue:
                yield digest, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
