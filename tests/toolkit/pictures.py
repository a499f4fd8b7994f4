"""Pictures for tests: small, cheap, no two alike."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from toolkit.records import SkippedFile


def picture(number: int, size: int = 16) -> Image.Image:
    """An RGB picture that depends on the number alone."""
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    return Image.fromarray(pixels)


def png(number: int, size: int = 16) -> bytes:
    stream = io.BytesIO()
    picture(number, size).save(stream, "png")
    return stream.getvalue()


def make_classes(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    """A folder per class with so many pictures; all contents differ."""
    number = start
    for label, count in counts.items():
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            (folder / f"{index:03d}.png").write_bytes(png(number))
            number += 1
    return root


def reasons(skipped: tuple[SkippedFile, ...]) -> dict[str, str]:
    """File name -> why it was skipped."""
    return {file.path.name: file.reason for file in skipped}
