"""Files to pictures: what is a picture, how it is decoded, and which limits hold."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import ImageError
from runtime.file_kind import looks_like, shown
from runtime.files import read_file
from runtime.guard import looking_at

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
#: AVIF is the last because Pillow raises KeyError where it was built without.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "DIB", "AVIF")


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
        ImageError: missing, no regular file, unreadable, empty, or larger than ``MAX_FILE_BYTES``.
    """
    data = read_file(path, MAX_FILE_BYTES, ImageError)
    if not data:
        raise ImageError(f"{shown(path)}: the file is empty (0 bytes)")
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

    name = shown(str(name))
    looking_at(name)
    try:
        image = _open_jpeg(data) or Image.open(io.BytesIO(data), formats=FORMATS)
    except (UnidentifiedImageError, KeyError):
        kind = looks_like(data)
        if "picture" in kind and "HEIC" not in kind:
            raise ImageError(f"{name}: damaged or truncated; it begins like {kind}") from None
        advice = "; save it as JPEG" if "HEIC" in kind else ""
        raise ImageError(f"{name}: not a picture in a known format; it looks like {kind}{advice}") from None
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


def _open_jpeg(data: bytes) -> Image | None:
    """What ``Image.open`` gives for a JPEG file, without its loading the plugins of four more formats before."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    from PIL import JpegImagePlugin, UnidentifiedImageError

    try:
        return JpegImagePlugin.jpeg_factory(io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error):  # those by which Image.open tells that it is none
        raise UnidentifiedImageError from None


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
    return upright_rgb(open_image(data, name), name)


def upright_rgb(image: Image, name: object = "picture") -> Image:
    """An opened Pillow picture decoded to RGB as ``decode_image`` says; errors name it ``name``.

    Raises:
        ImageError: damaged or truncated.
    """
    try:
        return to_rgb(_upright(image))
    except Exception as error:  # truncated data raises OSError, SyntaxError, struct.error, EOFError, ...
        raise ImageError(f"{shown(str(name))}: damaged or truncated picture: {error}") from error


# EXIF tag 0x0112 and its eight values: EXIF 2.32 (CIPA DC-008), 4.6.4 A.
_ORIENTATION_TAG = 0x0112
# Keys of ``Image.info`` in which ``Image.getexif`` looks for it.
_ORIENTATION_PLACES = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")


def _upright(image: Image) -> Image:
    from PIL import Image as module

    image.load()
    try:
        # Pillow turns TIFF pictures by itself when it loads them; 9.4 leaves the tag in place.
        orientation = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION_TAG, 1)
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
    if orientation not in steps:
        return image
    turned = image.transpose(steps[orientation])
    for key in _ORIENTATION_PLACES:  # it is upright now, for whoever looks at it next
        turned.info.pop(key, None)
    return turned


def jpeg_bytes(image: Image, quality: int) -> bytes:
    """An RGB picture as a JPEG file; quality 1..95."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def to_rgb(image: Image) -> Image:
    """Any Pillow mode as RGB: 16-bit grey is scaled to 8 bits, transparency is laid on white."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _wide_grey(image)
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in {"RGBA", "LA", "PA", "RGBa"} or "transparency" in image.info:
        from PIL import Image as module

        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        ground = module.new("RGB", rgba.size, (255, 255, 255))
        ground.paste(rgba, mask=rgba.getchannel("A"))
        return ground
    return image.convert("RGB")


def _wide_grey(image: Image) -> Image:
    """16- or 32-bit grey to 8 bits; Pillow's own conversion clips at 255, which turns photographs white."""
    import numpy as np
    from PIL import Image as module

    values: Any = np.asarray(image)
    if values.dtype.kind == "f":
        # Not nan_to_num: on 32-bit Arm, where tflite-runtime has the processor flush the smallest numbers to zero, it
        # warns of that.
        values = np.where(np.isfinite(values), values, values.dtype.type(0))
    top = values.max(initial=0)
    # 16-bit files say 65535 for white; a float or a file that stays under 256 says it in its own scale.
    white = 65535 if top > 255 else (255 if top > 1 or image.mode != "F" else 1)
    if values.dtype.kind == "f":
        values, white = values * np.float32(65535 / white), 65535
    # Through a table: less memory than arithmetic on each pixel.
    table = (np.arange(65536) * (255.0 / white)).clip(0, 255).round().astype(np.uint8)
    if values.dtype.itemsize != 2:
        values = values.clip(0, 65535).astype(np.uint16)
    return module.fromarray(table[values])
