"""Anything that can be classified, decoded."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.images import open_image, read_image_bytes, upright_rgb
from runtime.preprocess import image_from_array
from runtime.quiet import quiet_stderr

if TYPE_CHECKING:
    from PIL.Image import Image

    # What can be classified: a file's path, a file's bytes, a Pillow picture, uint8 (height, width, 3) RGB.
    Picture = str | Path | bytes | Image | NDArray[np.uint8]

# Bytes of a decoded pixel, and the share of the machine's memory that pictures may take while they are decoded.
_PIXEL_BYTES, _SHARE = 3, 1 / 4
# Where the system does not say how much memory there is: that of a Raspberry Pi Zero 2 W.
_UNKNOWN_MEMORY = 512 * 1024 * 1024


class _Budget:
    """Pixels that may be in decoding at once; a picture that is larger than all of it is decoded alone.

    Args:
        pixels: how many.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._used = 0
        self._changed = threading.Condition()

    @contextmanager
    def spend(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for so many pixels, and hold it in the block."""
        with self._changed:
            while self._used and self._used + pixels > self._pixels:
                self._changed.wait(0.5)
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()


def _memory() -> int:
    """Of the machine, bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return _UNKNOWN_MEMORY


# Of the process: threads of all classifiers together.
_BUDGET = _Budget(int(_memory() * _SHARE) // _PIXEL_BYTES)


def decode_picture(picture: Picture, name: object = "picture") -> Image:
    """A Pillow picture in mode RGB, upright; errors name encoded bytes ``name``.

    Raises:
        ImageError: it cannot be used.
    """
    if isinstance(picture, bytes):
        return decode_bytes(picture, name)
    if isinstance(picture, (str, Path)):
        return decode_bytes(read_image_bytes(Path(picture)), picture)
    if isinstance(picture, np.ndarray):
        return image_from_array(picture)
    if not hasattr(picture, "getexif"):  # no Pillow picture; which is not imported for the question
        hint = "; cv2.imread gives None for a file that it cannot read" if picture is None else ""
        kind = "None" if picture is None else f"a {type(picture).__name__}"
        raise ImageError(
            f"a picture must be a path, the bytes of a file, a Pillow picture or a uint8 array (height, width, 3); got "
            f"{kind}{hint}"
        )
    return upright_rgb(picture)


def decode_bytes(data: bytes, name: object = "picture") -> Image:
    """The same of a whole encoded file; errors name it ``name``.

    Raises:
        ImageError: it cannot be used.
    """
    image = open_image(data, name)
    # libtiff says what it thinks of a damaged file on the terminal, too.
    with _BUDGET.spend(image.width * image.height), quiet_stderr() if image.format == "TIFF" else nullcontext():
        return upright_rgb(image, name)
