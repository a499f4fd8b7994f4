from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import ImageError
from runtime.images import MAX_FILE_BYTES, decode_image, find_files, find_images, read_image_bytes, to_rgb, upright_rgb

Pixels = NDArray[np.uint8]
Encode = Callable[..., bytes]
TRANSPOSE = Image.Transpose
# EXIF orientation -> how the stored picture is turned to stand upright.
UPRIGHT = {
    1: None,
    2: TRANSPOSE.FLIP_LEFT_RIGHT,
    3: TRANSPOSE.ROTATE_180,
    4: TRANSPOSE.FLIP_TOP_BOTTOM,
    5: TRANSPOSE.TRANSPOSE,
    6: TRANSPOSE.ROTATE_270,
    7: TRANSPOSE.TRANSVERSE,
    8: TRANSPOSE.ROTATE_90,
}
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True, "exact": True}, "TIFF": {}}


def png_header(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG that declares a size and holds next to no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def refusal(data: bytes, name: object = "a.jpg") -> str:
    with pytest.raises(ImageError) as caught:
        decode_image(data, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"hello, this is no picture\n", "a text file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an XML page"),
        (b"%PDF-1.7\n%\xc7\xec", "a PDF document"),
        (b"PK\3\4" + bytes(40), "a zip archive"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "an HEIC picture; save it as JPEG"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite model"),
        (bytes(100), "zeros only"),
        (bytes(range(128, 256)), "data of an unknown kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a text file"),
    ],
)
def test_files_that_are_no_pictures(data: bytes, kind: str) -> None:
    assert refusal(data) == f"a.jpg: not a picture in a known format; it looks like {kind}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_truncated_pictures(kind: str, encoded: Encode) -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8), kind)
    for share in (0.01, 0.3, 0.6, 0.95):
        assert refusal(data[: int(len(data) * share)]).startswith("a.jpg: ")
    assert refusal(data[: len(data) * 9 // 10]).startswith("a.jpg: damaged")


def test_the_content_counts_not_the_name(tmp_path: Path, pixels: Pixels, encoded: Encode) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(pixels, "JPEG", quality=95))
    image = decode_image(read_image_bytes(path), path)
    assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(kind: str, orientation: int, pixels: Pixels, encoded: Encode) -> None:
    if kind == "AVIF" and "AVIF" not in Image.registered_extensions().values():
        pytest.skip("this Pillow was built without AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    step = UPRIGHT[orientation]
    plain = encoded(pixels, kind, **LOSSLESS.get(kind, {}))
    stored = decode_image(plain)
    expected = np.asarray(stored if step is None else stored.transpose(step))
    data = encoded(pixels, kind, exif=exif, **LOSSLESS.get(kind, {}))
    made = np.asarray(decode_image(data))
    assert np.array_equal(made, upright_rgb(Image.open(io.BytesIO(data))))
    assert np.array_equal(made, upright_rgb(decode_image(data)))  # what is upright stays so
    assert made.shape == expected.shape
    # AVIF is turned by its decoder, whose chroma planes have other corners then.
    assert np.abs(made.astype(int) - expected).max() <= (30 if kind == "AVIF" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\1" * 40]
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_exif_does_not_lose_the_picture(exif: bytes, pixels: Pixels, encoded: Encode) -> None:
    assert np.array_equal(
        decode_image(encoded(pixels, "JPEG", exif=b"Exif\0\0" + exif)), decode_image(encoded(pixels, "JPEG"))
    )


def test_grey_and_one_bit(pixels: Pixels, encoded: Encode) -> None:
    grey = Image.fromarray(pixels).convert("L")
    expected = np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)
    assert np.array_equal(decode_image(encoded(grey)), expected)
    one_bit = grey.convert("1")
    black_white = np.repeat(np.asarray(one_bit)[:, :, None], 3, axis=2) * np.uint8(255)
    assert np.array_equal(decode_image(encoded(one_bit)), black_white)


def test_palette_with_and_without_transparency(encoded: Encode) -> None:
    palette = Image.new("P", (4, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2, 0])
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 0, 0]]
    assert np.asarray(decode_image(encoded(palette)))[0].tolist() == colours
    colours[1] = [255, 255, 255]
    for kind in ("PNG", "GIF"):
        assert np.asarray(decode_image(encoded(palette, kind, transparency=1)))[0].tolist() == colours
    half = np.asarray(decode_image(encoded(palette, transparency=bytes([128, 0, 255]))))[0].tolist()
    assert half == [[255, 127, 127], [255, 255, 255], [0, 0, 255], [255, 127, 127]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La"])
def test_transparency_lies_on_white(mode: str, encoded: Encode) -> None:
    clear, solid = ((0, 0, 0, 0), (9, 9, 9, 255)) if mode.startswith("RGB") else ((0, 0), (9, 255))
    picture = Image.new(mode, (2, 1), clear)
    picture.putpixel((1, 0), solid)
    given = to_rgb(picture) if mode.endswith("a") else decode_image(encoded(picture))
    assert np.asarray(given)[0].tolist() == [[255, 255, 255], [9, 9, 9]]


def test_one_colour_of_an_rgb_png_as_transparent(encoded: Encode) -> None:
    picture = Image.new("RGB", (2, 1), (10, 20, 30))
    picture.putpixel((1, 0), (1, 2, 3))
    made = decode_image(encoded(picture, transparency=(10, 20, 30)))
    assert np.asarray(made)[0].tolist() == [[255, 255, 255], [1, 2, 3]]


def test_cmyk_as_printers_and_as_adobe_write_it(encoded: Encode) -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = encoded(picture, "JPEG", quality=100)
    assert b"Adobe" in data  # and then the numbers are inverted in the file
    for made in (decode_image(data), decode_image(encoded(picture, "TIFF"))):
        assert np.abs(np.asarray(made)[8, 8].astype(int) - (255, 0, 0)).max() <= 2


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey(kind: str, encoded: Encode) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    expected = np.repeat(levels[:, :, None], 3, axis=2)
    assert np.array_equal(decode_image(encoded(levels * 257, kind)), expected)
    # A file that uses eight of its sixteen bits means them.
    assert np.array_equal(decode_image(encoded(levels, kind)), expected)


def test_every_wide_mode(encoded: Encode) -> None:
    levels = np.arange(256).reshape(16, 16)
    for mode in ("I;16", "I;16B", "I;16L", "I"):
        order = ">" if mode.endswith("B") else "<"
        data = (levels * 257).astype(f"{order}i4" if mode == "I" else f"{order}u2").tobytes()
        assert np.array_equal(np.asarray(to_rgb(Image.frombytes(mode, (16, 16), data)))[:, :, 0], levels), mode
    for white in (1.0, 255.0, 65535.0):
        values = (levels * (white / 255)).astype(np.float32)
        assert np.array_equal(np.asarray(decode_image(encoded(values, "TIFF")))[:, :, 1], levels)
    broken = np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)
    assert np.asarray(to_rgb(Image.fromarray(broken)))[0, :, 0].tolist() == [0, 0, 0, 255]
    dark = Image.fromarray(np.array([[-5, 0, 70_000, 65_535]], np.int32))
    assert np.asarray(to_rgb(dark))[0, :, 0].tolist() == [0, 0, 255, 255]


def test_48_bit_rgb() -> None:
    cv2 = pytest.importorskip("cv2")
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    blue_first = np.stack([levels * 257, levels[::-1] * 257, levels.T * 257], axis=-1)
    data = cv2.imencode(".png", blue_first)[1].tobytes()
    assert np.array_equal(decode_image(data), (blue_first[:, :, ::-1] // 257))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame(kind: str, encoded: Encode) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options: dict[str, Any] = {} if kind == "TIFF" else {"duration": 100}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.abs(np.asarray(decode_image(data))[8, 8].astype(int) - (255, 0, 0)).max() <= 2


def test_bombs_are_refused() -> None:
    assert "megapixels" in refusal(png_header(20_000, 10_000))
    assert "megapixels" in refusal(png_header(2**31 - 1, 2**31 - 1))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_limit_on_pixels_is_told() -> None:
    assert refusal(png_header(10_000, 9_000)) == "a.jpg: 10000 x 9000 is 90 megapixels, the limit is 89; refused"
    assert "damaged or truncated" in refusal(png_header(10_000, 8_900))


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(20_000, 10_000))
    code = "import resource, runtime.classify, PIL.Image as i; i.init(); print(resource.getrusage(0).ru_maxrss)\n"
    code += "from runtime.images import *\ntry: decode_image(read_image_bytes(Path(__import__('sys').argv[1])))\n"
    code += "except ImageError: print(resource.getrusage(0).ru_maxrss)"
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    before, after = map(int, done.stdout.split())
    assert after - before < 20_000  # kilobytes


@pytest.mark.parametrize("name", ["花 photo.jpg", "two\nlines.jpg", "\x1b[31mred.jpg", "\udcff.jpg"])
def test_any_name_gives_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no picture")
    message = refusal(read_image_bytes(tmp_path / name), tmp_path / name)
    assert message.isprintable()
    assert "花" in message or "花" not in name
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        read_image_bytes(tmp_path / name)
    assert str(caught.value).isprintable()
    assert str(caught.value).endswith(": the file is empty (0 bytes)")


def test_paths_that_hold_no_picture(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for name, message in (
        ("none.jpg", "no such file"),
        ("", "is a folder, not a file"),
        ("loop.jpg", "cannot be read: Too many levels of symbolic links"),
        ("large.jpg", "268 MB, more than the limit of 268 MB"),
        ("large.jpg/below", "cannot be read: Not a directory"),
        ("x" * 300, "cannot be read: File name too long"),
        ("nul\0", r"cannot be read: (stat: )?embedded null (byte|character)"),
    ):
        with pytest.raises(ImageError, match=message):
            read_image_bytes(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero"), Path("/dev/tty")):
        with pytest.raises(ImageError, match="is not a regular file"):
            read_image_bytes(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageError, match="cannot be read: Permission denied"):
        read_image_bytes(path)


def test_folders_are_searched_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/img10.JPG", "b/img2.jpg", "A/x.webp", ".hidden/y.jpg", "z.txt", "b/.z.jpg", "١.png", "²3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert set(found) == {"١.png", "A/x.webp", "b/img2.jpg", "b/img10.JPG", "loop.jpg", "²3.png"}
    assert found.index("b/img2.jpg") < found.index("b/img10.JPG")
    assert {path.name for path in find_files(tmp_path)} >= {"z.txt", "up"}
