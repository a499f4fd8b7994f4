"""Small JPEG copies of pictures, for a page that holds them itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtime.errors import ImageError
from runtime.images import open_image, read_image_bytes, upright_rgb
from runtime.processors import processors
from toolkit.heat_maps import SIDE, small_jpeg


def thumbnails(pictures: Sequence[tuple[Path, str]], side: int = SIDE) -> list[bytes | None]:
    """JPEG files at most ``side`` pixels long; None where a picture is gone, damaged, or another one by now.

    Args:
        pictures: path, and hex sha256 of the content, of each.
        side: longest side, pixels.
    """
    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(lambda picture: _thumbnail(picture[0], picture[1], side), pictures))


def _thumbnail(path: Path, digest: str, side: int) -> bytes | None:
    try:
        data = read_image_bytes(path)
        if hashlib.sha256(data).hexdigest() != digest:
            return None
        image = open_image(data, path)
        image.draft("RGB", (side, side))  # a JPEG is decoded at an eighth, a quarter or half of its size
        return small_jpeg(upright_rgb(image, path), side)
    except ImageError:
        return None


def data_uri(jpeg: bytes) -> str:
    """A JPEG file as an address that carries it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
