"""Anything that can be classified, decoded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.images import open_image, read_image_bytes, upright_rgb
from runtime.preprocess import image_from_array

if TYPE_CHECKING:
    from PIL.Image import Image

    # What can be classified: a file's path, a file's bytes, a Pillow picture, uint8 (height, width, 3) RGB.
    Picture = str | Path | bytes | Image | NDArray[np.uint8]

# Pictures with more pixels are decoded one at a time, however many threads there are: each takes 36 MB or more, and a
# small device has 512 MB.
_LARGE_PIXELS = 12_000_000
_LARGE_PICTURE = threading.Lock()


def decode_picture(picture: Picture) -> Image:
    """A Pillow picture in mode RGB, upright.

    Raises:
        ImageError: it cannot be used.
    """
    if isinstance(picture, bytes):
        return decode_bytes(picture)
    if isinstance(picture, (str, Path)):
        return decode_bytes(read_image_bytes(Path(picture)), picture)
    if isinstance(picture, np.ndarray):
        return image_from_array(picture)
    return upright_rgb(picture)


def decode_bytes(data: bytes, name: object = "picture") -> Image:
    """The same of a whole encoded file; errors name it ``name``.

    Raises:
        ImageError: it cannot be used.
    """
    image = open_image(data, name)
    if image.width * image.height <= _LARGE_PIXELS:
        return upright_rgb(image, name)
    with _LARGE_PICTURE:
        return upright_rgb(image, name)
