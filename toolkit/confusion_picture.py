"""A confusion matrix as a picture, drawn with Pillow alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageFont import FreeTypeFont, ImageFont

# Pixels: of a cell, least and most; of the whole matrix, at which cells begin to shrink; of the text.
_LEAST_CELL, _LARGEST_CELL, _WANTED_SIDE, _TEXT = 4, 48, 900, 12
# Cells narrower than this get no number.
_CELL_WITH_NUMBER = 26
_LABEL_CHARACTERS = 24
# Of those that the font which comes with Pillow draws, end of Latin Extended-A.
_LAST_LETTER = "\u017f"
# Of a full cell and of an empty one, RGB; blue on white.
_FULL, _EMPTY = np.array([8, 81, 156]), np.array([255, 255, 255])


def confusion_counts(class_ids: Sequence[int], answers: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Pictures of each class (row) that got each answer (column), int64 (classes, classes)."""
    pairs = np.asarray(class_ids, np.int64) * classes + np.asarray(answers, np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def confusion_png(counts: NDArray[np.int64], labels: Sequence[str]) -> tuple[bytes, int, int]:
    """Draw the matrix: a row a class, a column an answer, dark where many pictures of the row went.

    Args:
        counts: as ``confusion_counts`` gives them.
        labels: of the classes.

    Returns:
        PNG, its width and its height in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT)
    cell = int(np.clip(_WANTED_SIDE // len(labels), _LEAST_CELL, _LARGEST_CELL))
    names = [_short(label, number) for number, label in enumerate(labels)] if cell > _TEXT else []
    margin = 48 + max((int(font.getlength(name)) for name in names), default=0)
    side = margin + cell * len(labels) + 8
    image = Image.new("RGB", (side, side), "white")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = (_EMPTY + share[:, :, None] * (_FULL - _EMPTY)).astype(np.uint8)
    cells = Image.fromarray(colours).resize((cell * len(labels),) * 2, Image.Resampling.NEAREST)
    image.paste(cells, (margin, margin))
    draw = ImageDraw.Draw(image)
    draw.text((margin, 4), "answer", "black", font)
    draw.text((4, margin - 18), "class", "black", font)
    for number, name in enumerate(names):
        middle = margin + cell * number + cell // 2
        draw.text((margin - 6, middle), name, "black", font, anchor="rm")
        _upright(image, name, middle, margin - 6, font)
    if cell >= _CELL_WITH_NUMBER:
        for row, column in np.argwhere(counts):
            place = (margin + cell * column + cell // 2, margin + cell * row + cell // 2)
            ink = "white" if share[row, column] > 0.5 else "black"
            draw.text(place, str(counts[row, column]), ink, font, anchor="mm")
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue(), image.width, image.height


def _upright(image: Picture, name: str, middle: int, bottom: int, font: FreeTypeFont | ImageFont) -> None:
    """Write a name from below upwards, its end at ``bottom``."""
    from PIL import Image, ImageDraw

    length = int(font.getlength(name)) + 2
    strip = Image.new("RGB", (length, _TEXT + 4), "white")
    ImageDraw.Draw(strip).text((0, (_TEXT + 4) // 2), name, "black", font, anchor="lm")
    image.paste(strip.rotate(90, expand=True), (middle - (_TEXT + 4) // 2, bottom - length))


def _short(label: str, number: int) -> str:
    """A label as far as there is room for it; the class's number where the font has not all of its letters."""
    if not label.isprintable() or max(label) > _LAST_LETTER:
        return f"class {number}"
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 3] + "..."
