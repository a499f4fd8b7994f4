"""A folder of pictures made bad on purpose, with every fault that ``toolkit inspect`` looks for."""

from __future__ import annotations

import io
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tests.toolkit.pictures import png
from toolkit.sample_data import draw_shapes

HOSTILE = "<script>alert('x')</script> \"&amp;"
#: A label with quotes, markup and a letter of another script.
HOSTILE_LABEL = "<b onload='x'>\"猫\" &lt;"


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "jpeg", quality=quality)
    return stream.getvalue()


def bomb() -> bytes:
    """A PNG whose header says 60,000 x 60,000 pixels, in 70 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def make_bad_folder(root: Path) -> Path:
    """Four classes of 24 drawn shapes, one of three pictures, one empty, and a fault of each kind among them."""
    draw_shapes(root, 24)
    plant_unreadable(root)
    plant_copies(root)
    plant_odd_ones(root)
    plant_odd_places(root)
    return root


def plant_unreadable(root: Path) -> None:
    circle = root / "circle"
    (circle / "cut.jpg").write_bytes((circle / "circle_0001.jpg").read_bytes()[:-600])
    (circle / "empty.jpg").write_bytes(b"")
    (circle / "text.jpg").write_text("no picture\n")
    (circle / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (circle / "bomb.png").write_bytes(bomb())
    (circle / "cut.png").write_bytes(png(1, 64)[:5000])


def plant_copies(root: Path) -> None:
    square, circle = root / "square", root / "circle"
    shutil.copy(square / "square_0001.jpg", square / "same class.jpg")
    shutil.copy(square / "square_0002.jpg", circle / "other class.jpg")
    with Image.open(square / "square_0003.jpg") as image:
        (square / "recompressed.jpg").write_bytes(jpeg(image, 30))
    with Image.open(square / "square_0004.jpg") as image:
        (circle / "rescaled.jpg").write_bytes(jpeg(image.resize((image.width // 2, image.height // 2))))
    with Image.open(square / "square_0005.jpg") as image:
        (square / "brighter.jpg").write_bytes(jpeg(ImageEnhance.Brightness(image).enhance(1.15)))
    with Image.open(square / "square_0006.jpg") as image:
        (square / "mirrored.jpg").write_bytes(jpeg(ImageOps.mirror(image)))


def plant_odd_ones(root: Path) -> None:
    square = root / "square"
    noise = np.random.default_rng(5)
    Image.new("RGB", (200, 200), (250, 250, 250)).save(square / "white.png")
    dark = noise.normal(12, 2, (200, 300, 3)).clip(0, 255).astype(np.uint8)
    (square / "lens cap.jpg").write_bytes(jpeg(Image.fromarray(dark)))
    (square / "icon.png").write_bytes(png(2, 8))
    Image.fromarray(noise.integers(0, 256, (70, 900, 3), np.uint8)).save(square / "banner.png")
    (square / "really png.jpg").write_bytes(png(3, 80))
    frames = [Image.fromarray(noise.integers(0, 256, (80, 80, 3), np.uint8)) for _ in range(3)]
    frames[0].save(square / "moving.gif", save_all=True, append_images=frames[1:])
    deep = noise.integers(0, 65536, (80, 80)).astype(np.uint16)
    Image.fromarray(deep).save(square / "deep.png")
    Image.fromarray(noise.integers(0, 256, (80, 80, 4), np.uint8), "CMYK").save(square / "print.jpg")


def plant_odd_places(root: Path) -> None:
    few, empty, hostile = root / "few", root / "empty", root / HOSTILE_LABEL
    for folder in (few, empty, hostile):
        folder.mkdir()
    for number in range(3):
        (few / f"{number}.png").write_bytes(png(10 + number, 80))
    (hostile / f"{HOSTILE}.png".replace("/", " ")).write_bytes(png(20, 80))
    shutil.copy(few / "0.png", hostile / "two\nlines.png")
    (root / "loose.jpg").write_bytes(png(30, 80))
    (few / "notes.txt").write_text("x")
    (few / "no ending").write_bytes(png(31, 80))
    (few / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    (few / "up").symlink_to(root, target_is_directory=True)
    (root / "again").symlink_to(root, target_is_directory=True)
    (few / "self.jpg").symlink_to(few / "self.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(few / "pipe.jpg")
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(few) + b"/caf\xe9.png")).write_bytes(png(40, 40))
        Path(os.fsdecode(os.fsencode(root) + b"/na\xefve")).mkdir()
