"""Files to pictures: what is a picture, how it is decoded, and which limits hold."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

#: File name endings that are taken for pictures when a folder is searched.
IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".avif",
    )
)
#: Pictures with more pixels are refused: they decode to 268 MB, more than a small device has. The number is
#: Pillow's own ``Image.MAX_IMAGE_PIXELS``, beyond which it warns.
MAX_PIXELS = 89_478_485
#: Files with more bytes are refused before they are read.
MAX_FILE_BYTES = 256 * 1024 * 1024
#: The decoders a picture may reach; everything else Pillow could open (PostScript, PDF, ...) stays shut.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "MPO", "AVIF", "DIB")


def natural_key(text: str) -> tuple[tuple[int, int | str], ...]:
    """Sort key that puts ``img2`` before ``img10``."""
    parts = re.split(r"(\d+)", text)
    return tuple((0, int(p)) if p.isdecimal() else (1, p.casefold()) for p in parts if p)


def find_images(folder: Path) -> Iterator[Path]:
    """All picture files under a folder, hidden ones left out, in natural order."""
    return (path for path in find_files(folder) if path.suffix.lower() in IMAGE_SUFFIXES)


def find_files(folder: Path) -> Iterator[Path]:
    """All files under a folder in natural order.

    Hidden ones are left out; a link to a folder is given as it is, not followed.
    """
    for path in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():  # a link to a folder above would never end
            yield from find_files(path)
        else:
            yield path


def read_image_bytes(path: Path) -> bytes:
    """The file's bytes.

    Raises:
        ImageError: missing, a folder, unreadable, empty, or larger than ``MAX_FILE_BYTES``.
    """
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, not a picture")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ImageError(f"{path}: {size / 1e6:.0f} MB, more than the limit of {MAX_FILE_BYTES / 1e6:.0f} MB")
        data = path.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes)")
    return data


def open_image(data: bytes, name: object) -> Image:
    """Open a picture without decoding its pixels: the header is read, format and size are checked.

    Args:
        data: the whole encoded file.
        name: what to call it in an error.

    Raises:
        ImageError: no known picture format, or more than ``MAX_PIXELS``.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture in a known format ({describe_bytes(data)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(f"{name}: more than {MAX_PIXELS // 10**6} megapixels; refused") from None
    except Exception as error:  # a decoder's complaint about a damaged header
        raise ImageError(f"{name}: damaged picture: {error}") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        megapixels = width * height / 1e6
        raise ImageError(
            f"{name}: {width} x {height} is {megapixels:.0f} megapixels, the limit is {MAX_PIXELS // 10**6}; refused"
        )
    return image


def decode_image(data: bytes, name: object = "picture") -> Image:
    """Decode to RGB, upright: EXIF orientation applied, the first frame of an animation, transparency on white.

    Args:
        data: the whole encoded file.
        name: what to call it in an error.

    Returns:
        A loaded Pillow picture in mode RGB.

    Raises:
        ImageError: not a picture, damaged, truncated, or too large.
    """
    image = open_image(data, name)
    try:
        return to_rgb(_upright(image))
    except Exception as error:  # truncated data raises OSError, SyntaxError, struct.error, EOFError, ...
        raise ImageError(f"{name}: damaged or truncated picture: {error}") from error


# EXIF tag 0x0112 and its eight values: EXIF 2.32 (CIPA DC-008), 4.6.4 A.
_ORIENTATION_TAG = 0x0112


def _upright(image: Image) -> Image:
    from PIL import Image as module

    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # unreadable EXIF is no reason to lose the picture
        orientation = 1
    transpose = module.Transpose
    steps = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_270,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_90,
    }
    image.load()
    return image.transpose(steps[orientation]) if orientation in steps else image


def to_rgb(image: Image) -> Image:
    """Any Pillow mode as RGB: 16-bit grey is scaled to 8 bits, transparency is laid on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _wide_grey(image)
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        from PIL import Image as module

        rgba = image.convert("RGBA")
        ground = module.new("RGBA", rgba.size, (255, 255, 255, 255))
        return module.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")


def _wide_grey(image: Image) -> Image:
    """16- or 32-bit grey to 8 bits; Pillow's own conversion clips at 255, which turns photographs white."""
    import numpy as np
    from PIL import Image as module

    values: Any = np.asarray(image, np.float64)
    values = np.where(np.isfinite(values), values, 0.0)
    top = values.max(initial=0.0)
    # 16-bit files say 65535 for white; a float or a file that stays under 256 says it in its own scale.
    white = 65535.0 if top > 255 else (255.0 if top > 1 or image.mode != "F" else 1.0)
    return module.fromarray((values.clip(0, white) * (255.0 / white)).round().astype(np.uint8))


def describe_bytes(data: bytes) -> str:
    """What a file that is no picture looks like, in a few words."""
    head = data[:64].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<svg")):
        return "it looks like a web page or SVG"
    if head.startswith(b"pk\x03\x04"):
        return "it looks like a zip file"
    if head.startswith(b"%pdf"):
        return "it looks like a PDF"
    if data[4:12] in {b"ftypheic", b"ftypheix", b"ftypmif1"}:
        return "it looks like HEIC; save it as JPEG"
    if head and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in head):
        return "it looks like text"
    return f"it begins with bytes {data[:8].hex(' ')}"
