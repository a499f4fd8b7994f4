"""Pictures of a share as batches for training: decoded once, rendered by threads, ready before they are needed."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError, ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.preprocess import normalize
from runtime.processors import processors
from runtime.spec import Preprocessing
from toolkit.views import Augmentation, View, draw_view, render

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float32]

#: Decoded pictures are kept in memory up to this many bytes; the rest is decoded anew for every view.
MEMORY_LIMIT = 1_000_000_000
_ADVICE = (
    "put it back and the same command goes on from its last checkpoint, or run it again and the network is trained anew"
)
# Batches that are rendered ahead of the one that is trained on.
_AHEAD = 3


class Picture(Protocol):
    """What training needs to know of a file."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def digest(self) -> str:
        """Hex sha256 of its content."""


@dataclass(frozen=True)
class Share:
    """Pictures with what is to be learned of them.

    Attributes:
        pictures: files.
        targets: float32 (pictures, classes), 0..1: rows that add up to 1, or one yes or no a label.
        weights: float32 (pictures,), how much each counts, on average 1.
    """

    pictures: Sequence[Picture]
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.pictures)


class PictureStore:
    """Decoded pictures, kept while they fit; safe to use from several threads.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = MEMORY_LIMIT) -> None:
        self._room = limit
        self._kept: dict[str, Image] = {}
        self._lock = Lock()

    def get(self, picture: Picture) -> Image:
        """The picture in mode RGB, whole.

        Raises:
            ImageError: it cannot be decoded.
            DataError: it was changed or removed since it was indexed.
        """
        kept = self._kept.get(picture.digest)
        if kept is not None:
            return kept
        try:
            data = read_image_bytes(picture.path)
        except ImageError as error:
            raise DataError(f"{error}, though it was there when the training began; {_ADVICE}") from error
        if hashlib.sha256(data).hexdigest() != picture.digest:
            raise DataError(f"{shown(picture.path)} was changed while the training ran; {_ADVICE}")
        image = decode_image(data, picture.path)
        size = image.width * image.height * 3
        with self._lock:
            if size <= self._room and picture.digest not in self._kept:
                self._room -= size
                self._kept[picture.digest] = image
        return image


@dataclass(frozen=True)
class Batch:
    """Inputs and what is to be learned of them; ``positions`` are those of the pictures in their share."""

    images: Floats
    positions: NDArray[np.int64]


class Batches:
    """Renders batches of a share ahead of their use.

    Args:
        pictures: of the share.
        preprocessing: of the model.
        store: of decoded pictures.
        seed: of the views.
    """

    def __init__(
        self, pictures: Sequence[Picture], preprocessing: Preprocessing, store: PictureStore, seed: int = 0
    ) -> None:
        self._pictures, self._preprocessing, self._store, self._seed = pictures, preprocessing, store, seed

    def run(
        self, order: Sequence[NDArray[np.int64]], augmentation: Augmentation | None, number: int = 0
    ) -> Iterator[Batch]:
        """The batches in this order.

        Args:
            order: positions of the pictures of each batch.
            augmentation: of which each picture shows the view with this number; None for the pictures as they are.
            number: of the views.

        Raises:
            ImageError: a picture cannot be decoded.
            DataError: a picture was changed or removed.
        """

        def work(position: int, out: Floats) -> None:
            picture = self._pictures[position]
            view = View() if augmentation is None else draw_view(augmentation, self._seed, picture.digest, number)
            pixels = render(self._store.get(picture), view, self._preprocessing)
            normalize(pixels, self._preprocessing, out=out)

        shape = (self._preprocessing.height, self._preprocessing.width, 3)
        queue: deque[tuple[Batch, list[Future[None]]]] = deque()
        pool = ThreadPoolExecutor(processors())
        try:
            for positions in order:
                batch = Batch(np.empty((len(positions), *shape), np.float32), positions)
                futures = [pool.submit(work, int(p), out) for p, out in zip(positions, batch.images, strict=True)]
                queue.append((batch, futures))
                if len(queue) > _AHEAD:
                    yield _finished(*queue.popleft())
            while queue:
                yield _finished(*queue.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _finished(batch: Batch, futures: list[Future[None]]) -> Batch:
    for future in futures:
        future.result()
    return batch
