"""Reads and decodes every picture once, in several threads."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ImageError
from runtime.file_kind import shown
from runtime.images import open_image, read_image_bytes
from toolkit.signatures import Signature, SignatureCache

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow calls the formats that runtime.images.FORMATS lets in, by the endings that belong to them. MPO is the
# JPEG of cameras that put a preview behind the picture.
_FORMAT_OF_SUFFIX = {
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".jpe": ("JPEG", "MPO"),
    ".jfif": ("JPEG", "MPO"),
    ".png": ("PNG",),
    ".bmp": ("BMP", "DIB"),
    ".gif": ("GIF",),
    ".webp": ("WEBP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".ppm": ("PPM",),
    ".pgm": ("PPM",),
    ".avif": ("AVIF",),
}


@dataclass(frozen=True)
class Picture:
    """A picture that can be decoded.

    Attributes:
        path: of the file.
        labels: name of its class folder, or its labels in ``labels.csv``, which may be none.
        digest: hex sha256 of the file's content.
        format: as Pillow names it.
        width: pixels, as stored.
        height: pixels, as stored.
        signature: its looks.
        unusual: what training does to it that one may not expect, else "".
    """

    path: Path
    labels: tuple[str, ...]
    digest: str
    format: str
    width: int
    height: int
    signature: Signature
    unusual: str

    @property
    def wrong_ending(self) -> bool:
        """Whether the file's name says another format than its content."""
        return self.format not in _FORMAT_OF_SUFFIX.get(self.path.suffix.lower(), ())


def read_pictures(
    files: Sequence[tuple[Path, tuple[str, ...]]], signatures: SignatureCache
) -> Iterator[Picture | ImageError]:
    """Each picture, or what is wrong with it, in order.

    Args:
        files: path and labels of each.
        signatures: a picture that is in it is not decoded again.

    Raises:
        DataError: the cache cannot be used.
    """
    workers = min(8, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(workers) as pool:
        # A short queue: memory stays flat whatever the number of pictures, and Ctrl-C need not wait for them.
        queue: deque[Future[Picture | ImageError]] = deque()
        try:
            for path, labels in files:
                queue.append(pool.submit(_read, path, labels, signatures))
                if len(queue) >= 8 * workers:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # the cache must outlive the threads


def _read(path: Path, labels: tuple[str, ...], signatures: SignatureCache) -> Picture | ImageError:
    try:
        data = read_image_bytes(path)
        image = open_image(data, path)
        # Decoding at reduced size changes these.
        kind, mode, (width, height) = image.format or "", image.mode, image.size
        digest = hashlib.sha256(data).hexdigest()
        signature = signatures.signature(digest, image, path)
    except ImageError as error:
        return ImageError(str(error).removeprefix(f"{shown(path)}: "))
    return Picture(path, labels, digest, kind, width, height, signature, _unusual(image, kind, mode))


def _unusual(image: Image, kind: str, mode: str) -> str:
    words = []
    if mode.startswith("I") or mode == "F":
        words.append("more than 8 bits a pixel; scaled to 8")
    if mode in ("CMYK", "YCCK"):
        words.append("CMYK, for print; converted to RGB")
    if kind != "MPO" and _frames(image) > 1:
        words.append("an animation or several pages; the first is used")
    return ", ".join(words)


def _frames(image: Image) -> int:
    try:
        return 2 if getattr(image, "is_animated", False) else 1
    except Exception:  # damage behind the first frame, which is all that is used
        return 1
