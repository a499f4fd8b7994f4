"""Pictures to feature vectors: the frozen backbone on the device interpreter, cached by content."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize, resize
from runtime.processors import processors
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing
from toolkit.backbones.registry import Backbone
from toolkit.feature_cache import FeatureCache
from toolkit.progress import progress_bar
from toolkit.ready_pixels import ReadyPixels
from toolkit.records import ImageRecord
from toolkit.views import CachedViews, draw_view, render

if TYPE_CHECKING:
    from PIL.Image import Image

# Computed vectors are stored when this many seconds have passed: what a kill can cost.
_STORE_EVERY = 1.0
# Pictures a run of the interpreter: one pass over the weights serves all of them, and decoding disturbs the processor's
# caches less often. Of 1, 2, 3, 4 and 6, three were best or next to it for MobileNet v1 and Lite0, two threads at once
# on 2 MB of cache each; with more, Lite0's wide first blocks no longer fit.
_BATCH = 3
# Batches that wait for each worker.
_QUEUE = 4

# Renders the views of a decoded picture, of which the digest is given too: pixels as ``preprocess.resize`` gives them.
Views = Callable[["Image", str], Sequence[NDArray[Any]]]
# Hands out the views of a picture, by its digest, that need not be rendered; None where they must.
Take = Callable[[str], "Sequence[NDArray[Any]] | None"]


@dataclass(frozen=True)
class FeatureTable:
    """Features of a data set.

    Attributes:
        vectors: content digest -> float32 (features,).
        views: content digest -> float32 (views, features), of the pictures that were to have views.
        failures: content digest -> why the picture could not be decoded.
        from_cache: pictures of which nothing was computed now.
        computed: vectors that were computed now.
        seconds: the computation took.
    """

    vectors: dict[str, NDArray[np.float32]]
    views: dict[str, NDArray[np.float32]]
    failures: dict[str, str]
    from_cache: int
    computed: int
    seconds: float


def feature_space(backbone: Backbone, preprocessing: Preprocessing) -> str:
    """Hex digest of all that decides a feature vector beside the picture."""
    parts = (
        "edge-export-toolkit features 1",
        backbone.architecture.name,
        backbone.digest,
        preprocessing.digest(),
        *(() if backbone.architecture.pooling == "avg" else (backbone.architecture.pooling,)),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def extract_features(
    backbone: Backbone,
    preprocessing: Preprocessing,
    images: Sequence[ImageRecord],
    cache_dir: Path,
    views: CachedViews | None = None,
    viewed: Collection[str] = (),
    notify: Callable[[str], None] = lambda _message: None,
    ready: ReadyPixels | None = None,
) -> FeatureTable:
    """Look every picture up in the cache and compute what is missing; a picture is decoded once for all its views.

    Each worker thread decodes a few pictures and runs its own one-thread interpreter on them; both release Python's
    lock, so decoding and computing overlap and all cores are busy.

    Args:
        backbone: the frozen network.
        preprocessing: for its input.
        images: pictures; a content that stands twice is computed once.
        cache_dir: of the toolkit; the cache is ``features.sqlite`` in it.
        views: random ones to compute as well; None for none.
        viewed: digests of the pictures that have them.
        notify: is told in one line where the cache is damaged.
        ready: pictures that are resized already; is given those that it wants to keep.

    Raises:
        DataError: the cache cannot be used.
    """
    ready = ready or ReadyPixels(preprocessing)
    spaces = [feature_space(backbone, preprocessing)]
    if views is not None:
        spaces += [views.space(spaces[0], number) for number in range(views.count)]
    paths = {image.digest: image.path for image in images}
    wanted = {digest: range(len(spaces) if digest in viewed else 1) for digest in paths}
    with FeatureCache(cache_dir / "features.sqlite", notify) as cache:
        found = [cache.get(space, [d for d in paths if slot in wanted[d]]) for slot, space in enumerate(spaces)]
        missing = {d: [slot for slot in wanted[d] if d not in found[slot]] for d in paths}
        missing = {d: slots for d, slots in missing.items() if slots}
        failures: dict[str, str] = {}
        started = time.monotonic()
        if missing:
            failures = _compute_missing(
                backbone, preprocessing, paths, missing, found, cache, cache_dir, spaces, views, ready
            )
        seconds = time.monotonic() - started
    whole = [d for d in wanted if d not in failures]
    return FeatureTable(
        vectors={d: found[0][d] for d in whole},
        views={d: np.stack([found[slot][d] for slot in wanted[d][1:]]) for d in whole if len(wanted[d]) > 1},
        failures=failures,
        from_cache=len(paths) - len(missing),
        computed=sum(len(slots) for d, slots in missing.items() if d not in failures),
        seconds=seconds,
    )


def _compute_missing(
    backbone: Backbone,
    preprocessing: Preprocessing,
    paths: dict[str, Path],
    missing: dict[str, list[int]],
    found: list[dict[str, NDArray[np.float32]]],
    cache: FeatureCache,
    cache_dir: Path,
    spaces: list[str],
    views: CachedViews | None,
    ready: ReadyPixels,
) -> dict[str, str]:
    """Compute vectors into ``found`` and the cache, slot by slot (0: the picture as it is); returns failures."""

    def render_all(image: Image, digest: str) -> list[NDArray[Any]]:
        return [
            plain(image, digest)
            if slot == 0 or views is None
            else render(image, draw_view(views.augmentation, views.seed, digest, slot - 1), preprocessing)
            for slot in missing[digest]
        ]

    def plain(image: Image, digest: str) -> NDArray[Any]:
        pixels = resize(image, preprocessing)
        ready.give(digest, pixels)
        return pixels

    def take(digest: str) -> list[NDArray[Any]] | None:
        pixels = ready.take(digest) if missing[digest] == [0] else None
        return None if pixels is None else [pixels]

    failures: dict[str, str] = {}
    fresh: list[dict[str, NDArray[np.float32]]] = [{} for _ in spaces]

    def store() -> None:
        for space, vectors in zip(spaces, fresh, strict=True):
            cache.put(space, vectors)
            vectors.clear()

    stored = time.monotonic()
    pictures = [(digest, paths[digest]) for digest in missing]
    bar = progress_bar("Computing features", len(paths), done=len(paths) - len(missing))
    with bar as progress:
        try:
            model = backbone.tflite(cache_dir)
            for digest, result in compute(model, preprocessing, pictures, views=render_all, take=take):
                progress.update()
                if isinstance(result, ImageError):
                    failures[digest] = str(result).removeprefix(f"{shown(paths[digest])}: ")
                    continue
                for slot, vector in zip(missing[digest], result, strict=True):
                    found[slot][digest] = fresh[slot][digest] = vector
                if time.monotonic() - stored >= _STORE_EVERY:
                    store()
                    stored = time.monotonic()
        finally:
            store()  # Ctrl-C keeps what was computed
    return failures


def compute(
    model: bytes,
    preprocessing: Preprocessing,
    pictures: Sequence[tuple[str, Path]],
    workers: int | None = None,
    views: Views | None = None,
    take: Take = lambda _digest: None,
) -> Iterator[tuple[str, NDArray[np.float32] | ImageError]]:
    """Features of each picture, in order; a picture that cannot be decoded yields its error.

    Args:
        model: a float32 TFLite backbone.
        preprocessing: for its input.
        pictures: hex sha256 of the content, and path, of each.
        workers: threads; None takes one for each processor of this process.
        views: None takes the whole picture, resized, as the only view.
        take: asked for each picture before its file is read.

    Yields:
        The content digest, and float32 (views, features) or what is wrong with the picture.
    """
    workers = workers or processors()
    batch = max(1, min(_BATCH, -(-len(pictures) // workers)))
    with quiet_stderr():
        idle = [_Worker(model, preprocessing, batch, views, take) for _ in range(workers)]
    local = threading.local()

    def work(group: Sequence[tuple[str, Path]]) -> list[NDArray[np.float32] | ImageError]:
        if not hasattr(local, "worker"):
            local.worker = idle.pop()  # atomic; there is one for each thread
        features: list[NDArray[np.float32] | ImageError] = local.worker.features(group)
        return features

    groups = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    with ThreadPoolExecutor(workers) as pool:
        # A short queue: memory stays flat whatever the number of pictures, and Ctrl-C need not wait for them.
        queue: deque[Future[list[NDArray[np.float32] | ImageError]]] = deque()
        try:
            for number, group in enumerate(groups):
                while len(queue) < _QUEUE * workers and number + len(queue) < len(groups):
                    queue.append(pool.submit(work, groups[number + len(queue)]))
                for (digest, _), result in zip(group, queue.popleft().result(), strict=True):
                    yield digest, result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """What one thread has for itself: an interpreter that takes a batch of pictures."""

    def __init__(self, model: bytes, preprocessing: Preprocessing, batch: int, views: Views | None, take: Take) -> None:
        self._model = LoadedModel(model, threads=1, batch=batch)
        self._preprocessing = preprocessing
        self._views = views
        self._take = take
        self._batch = batch

    def features(self, group: Sequence[tuple[str, Path]]) -> list[NDArray[np.float32] | ImageError]:
        """float32 (views, features) of each picture, or its error. The views of all of them share batches."""
        counts: list[int | ImageError] = []
        found = [np.zeros((0, self._model.classes), np.float32)]
        filled = 0
        for digest, path in group:
            try:
                pictures = self._take(digest) or self._decode(digest, path)
            except ImageError as error:
                counts.append(error)
                continue
            counts.append(len(pictures))
            for pixels in pictures:
                normalize(pixels, self._preprocessing, out=self._model.input_memory()[filled])
                filled += 1
                if filled == self._batch:
                    found.append(self._run())
                    filled = 0
        if filled:  # what stands in the other rows is computed too, and dropped
            found.append(self._run()[:filled])
        rows = np.concatenate(found)
        ends = np.cumsum([0 if isinstance(count, ImageError) else count for count in counts])
        return [
            count if isinstance(count, ImageError) else rows[end - count : end]
            for count, end in zip(counts, ends, strict=True)
        ]

    def _decode(self, digest: str, path: Path) -> Sequence[NDArray[Any]]:
        data = read_image_bytes(path)
        if hashlib.sha256(data).hexdigest() != digest:  # its features would stand in the cache for another picture
            raise ImageError(f"{shown(path)}: was changed while the training ran")
        image = decode_image(data, path)
        return [resize(image, self._preprocessing)] if self._views is None else self._views(image, digest)

    def _run(self) -> NDArray[np.float32]:
        features: NDArray[np.float32] = self._model.run().reshape(self._batch, -1)
        return features
