"""The camera's picture as a JPEG for viewers: made once, whoever asks for it, and only where somebody does."""

from __future__ import annotations

import threading

from runtime.actions.action import Seen
from runtime.errors import ImageError
from runtime.images import jpeg_bytes

# Longest side of a picture on the page, and its JPEG quality: a 1280 x 720 picture has about 100 kB.
_LONGEST_SIDE = 1280
_QUALITY = 80
_JPEG_START = b"\xff\xd8\xff"
# A camera's own JPEG is sent as it came up to this size, bytes; a larger one is made smaller.
_SMALL_ENOUGH = 400_000


class Pictures:
    """Encodes frames, on the thread of the viewer that asks first; the others get the same bytes."""

    def __init__(self) -> None:
        self._encoding = threading.Lock()
        self._seen: Seen | None = None
        self._jpeg: bytes | None = None

    def jpeg(self, seen: Seen) -> bytes | None:
        """A frame as JPEG; None where it is damaged."""
        with self._encoding:
            if seen is not self._seen:
                try:
                    self._jpeg = as_jpeg(seen)
                except ImageError:
                    self._jpeg = None
                self._seen = seen
            return self._jpeg


def as_jpeg(seen: Seen) -> bytes:
    """A frame for the page.

    Raises:
        ImageError: the encoded picture is none, or is damaged.
    """
    original = seen.frame.original
    if original is not None and original.startswith(_JPEG_START) and len(original) <= _SMALL_ENOUGH:
        return original
    image = seen.frame.image()
    times = -(-max(image.size) // _LONGEST_SIDE)
    if times > 1:  # for eyes only: what the model sees is resized by preprocess.py
        image = image.reduce(times)
    return jpeg_bytes(image, _QUALITY)
