"""Pictures that were decoded to be looked at, resized at once for what needs them next: one decoding serves both."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from runtime.preprocess import resize
from runtime.spec import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image

#: Bytes of pictures that wait for their features: 890 pictures of 224 x 224. Of those beyond, the files are decoded
#: again.
MOST_BYTES = 128 << 20


class ReadyPixels:
    """Resized pictures by content digest; any thread may give and take.

    Args:
        preprocessing: that they are resized with.
        most_bytes: of pictures that wait; what ``keep`` names comes on top.
    """

    def __init__(self, preprocessing: Preprocessing, most_bytes: int = MOST_BYTES) -> None:
        self._preprocessing = preprocessing
        self._room = most_bytes
        self._waiting: dict[str, NDArray[Any]] = {}
        self._wanted: frozenset[str] = frozenset()
        self._kept: dict[str, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def offer(self, digest: str, image: Image) -> None:
        """Resize a picture and let it wait, while there is room.

        Args:
            digest: hex sha256 of its file.
            image: whole, upright and RGB, as ``runtime.images.decode_image`` gives it.
        """
        if self._room <= 0 or digest in self._waiting:
            return
        pixels = resize(image, self._preprocessing)
        with self._lock:
            if self._room >= pixels.nbytes:
                self._waiting[digest] = pixels
                self._room -= pixels.nbytes

    def take(self, digest: str) -> NDArray[Any] | None:
        """(height, width, 3), 0..255, of a picture that waits; None of any other. It is forgotten, unless kept."""
        with self._lock:
            pixels = self._waiting.pop(digest, None)
            if pixels is not None:
                self._room += pixels.nbytes
        if pixels is not None:
            self.give(digest, pixels)
        return pixels

    def keep(self, digests: Iterable[str]) -> None:
        """Name the pictures of which ``kept`` is to have what ``take`` hands out and ``give`` brings."""
        self._wanted = frozenset(digests)

    def give(self, digest: str, pixels: NDArray[Any]) -> None:
        """Keep a resized picture, if it is among those named."""
        if digest in self._wanted:
            self._kept[digest] = pixels

    def kept(self) -> dict[str, NDArray[Any]]:
        """The pictures that were named and seen."""
        return {**{digest: p for digest, p in self._waiting.items() if digest in self._wanted}, **self._kept}
