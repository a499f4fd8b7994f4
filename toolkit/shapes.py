"""Draws one picture of a circle, a square, a plus or a triangle; all its variety comes from one generator.

Colours are RGB float arrays in [0, 255], pictures float32 arrays (height, width, 3) until the last step.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("circle", "square", "plus", "triangle")

_Array = npt.NDArray[np.float32]
_Points = npt.NDArray[np.float64]
# Masks are drawn this much larger and reduced: PIL's drawing itself has no antialiasing.
_SUPERSAMPLING = 4
# Rec. 601 luma, the brightness a person sees.
_LUMA = np.array([0.299, 0.587, 0.114])
# Least difference of luma between the shape and the middle of its background.
_MIN_CONTRAST = 80.0
# Radians; at 45 degrees a square would be a diamond and a plus an X.
_MAX_TILT = math.radians(40)


def draw_jpeg(shape: str, rng: np.random.Generator, comment: str) -> bytes:
    """Draw one picture of ``shape`` (one of `CLASSES`); the same generator state gives the same bytes."""
    width, height = _size(rng)
    base = _base_colour(rng)
    picture = _background(rng, height, width, base)
    for mask, colour in _layers(rng, shape, width, height, base):
        picture += mask[..., None] * (colour - picture)
    picture *= _light(rng, height, width)[..., None]
    image = _camera(rng, picture)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(55, 96)), comment=comment)
    return file.getvalue()


def _size(rng: np.random.Generator) -> tuple[int, int]:
    """Width and height within 160-320 pixels, upright or lying, 3:2 at most, as cameras take them."""
    long = int(rng.integers(200, 321))
    short = max(160, round(long / rng.uniform(1.0, 1.5)))
    return (long, short) if rng.random() < 0.5 else (short, long)


def _layers(rng: np.random.Generator, shape: str, width: int, height: int, base: _Array) -> list[tuple[_Array, _Array]]:
    """What is painted on the background, bottom first: masks in [0, 1] and their colours."""
    radius = float(rng.uniform(0.26, 0.43)) * min(width, height)
    points = _outline(rng, shape) * radius
    room = np.array([width, height]) / 2 - np.abs(points).max(axis=0) - 0.03 * min(width, height)
    points += np.array([width, height]) / 2 + np.maximum(room, 0) * rng.uniform(-1, 1, size=2)
    colour = _contrasting(rng, base)
    style = rng.choice(["filled", "outlined", "both"], p=[0.45, 0.35, 0.2])
    layers = []
    if rng.random() < 0.25 and style != "outlined":
        offset = rng.uniform(0.03, 0.1, size=2) * radius * rng.choice([-1, 1], size=2)
        layers.append((0.5 * _filled(points + offset, width, height), base * np.float32(0.3)))
    if style != "outlined":
        layers.append((_filled(points, width, height), colour))
    if style != "filled":
        line = colour if style == "outlined" else _contrasting(rng, colour)
        dashed = rng.random() < 0.25
        thickness = max(4.0, float(rng.uniform(0.07, 0.11 if dashed else 0.17)) * radius)
        dash = float(rng.uniform(1.5, 3)) * thickness if dashed else None
        layers.append((_stroked(points, width, height, thickness, dash), line))
    return layers


def _outline(rng: np.random.Generator, shape: str) -> _Points:
    """Corners of the shape, (n, 2), about the origin and within the unit circle, tilted."""
    if shape == "circle":
        points = _on_circle(np.linspace(0, 2 * math.pi, 96, endpoint=False))
    elif shape == "square":
        points = _on_circle(math.pi / 4 + np.arange(4) * math.pi / 2)
    elif shape == "triangle":
        points = _on_circle(np.arange(3) * 2 * math.pi / 3 - math.pi / 2 + rng.uniform(-0.2, 0.2, size=3))
    else:
        arm = float(rng.uniform(0.2, 0.36))
        corner = np.array([[1, -arm], [1, arm], [arm, arm]])
        corners = [corner @ _rotation(quarter * math.pi / 2) for quarter in range(4)]
        points = np.concatenate(corners) / math.hypot(1, arm)
    points = points * np.array([1.0, rng.uniform(0.93, 1.0)])
    turned: _Points = points @ _rotation(float(rng.uniform(-_MAX_TILT, _MAX_TILT)))
    return turned


def _rotation(angle: float) -> _Points:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def _on_circle(angles: _Points) -> _Points:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _canvas(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    return image, ImageDraw.Draw(image)


def _mask(image: Image.Image) -> _Array:
    mask: _Array = np.asarray(image.reduce(_SUPERSAMPLING), np.float32) / np.float32(255)
    return mask


def _filled(points: _Points, width: int, height: int) -> _Array:
    image, draw = _canvas(width, height)
    draw.polygon([tuple(point) for point in points * _SUPERSAMPLING], fill=255)
    return _mask(image)


def _stroked(points: _Points, width: int, height: int, thickness: float, dash: float | None) -> _Array:
    """The closed line through ``points``, solid, or dashed with dashes ``dash`` pixels long."""
    image, draw = _canvas(width, height)
    for piece in [np.vstack([points, points[:1]])] if dash is None else _dashes(points, dash, thickness):
        corners = [tuple(point) for point in piece * _SUPERSAMPLING]
        draw.line(corners, fill=255, width=round(thickness * _SUPERSAMPLING))
        pen = thickness * _SUPERSAMPLING / 2
        for x, y in corners:  # a round pen: PIL leaves notches where thick lines meet
            draw.ellipse((x - pen, y - pen, x + pen, y + pen), fill=255)
    return _mask(image)


def _dashes(points: _Points, length: float, thickness: float) -> list[_Points]:
    """Cut the closed line into dashes about ``length`` long; the gaps are two fifths of that."""
    closed = np.vstack([points, points[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    period = 1.4 * length + thickness  # a round pen lengthens each dash by its thickness
    # Fewer than 12 dashes would leave out the corners, by which a person knows the shape.
    count = max(12, round(along[-1] / period))
    pieces = []
    for start in np.arange(count) * along[-1] / count:
        at = np.linspace(start, start + along[-1] / count * length / period, 12)
        pieces.append(np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], axis=1))
    return pieces


def _base_colour(rng: np.random.Generator) -> _Array:
    return rng.uniform(15, 240, size=3).astype(np.float32)


def _near(rng: np.random.Generator, colour: _Array, spread: float) -> _Array:
    near: _Array = np.clip(colour + rng.uniform(-spread, spread, size=3), 0, 255).astype(np.float32)
    return near


def _contrasting(rng: np.random.Generator, base: _Array) -> _Array:
    """A colour a person can tell from ``base`` at a glance, also in black and white."""
    while True:
        colour = rng.uniform(0, 255, size=3).astype(np.float32)
        if abs(float((colour - base) @ _LUMA)) >= _MIN_CONTRAST:
            return colour


def _background(rng: np.random.Generator, height: int, width: int, base: _Array) -> _Array:
    """A textured background (height, width, 3) of colours around ``base``."""
    kind = rng.choice(["gradient", "stripes", "grain", "blotches"])
    first, second = _near(rng, base, 30), _near(rng, base, 30)
    if kind == "gradient":
        blend = _ramp(rng, height, width)
    elif kind == "stripes":
        blend = _stripes(rng, height, width)
    elif kind == "grain":
        blend = rng.random((height, width), dtype=np.float32)
    else:
        blend = _blotches(rng, height, width, cells=int(rng.integers(3, 12)))
    return first + blend[..., None] * (second - first)


def _ramp(rng: np.random.Generator, height: int, width: int) -> _Array:
    """A slope from 0 to 1 in any direction."""
    angle = float(rng.uniform(0, 2 * math.pi))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    slope = columns * np.float32(math.cos(angle)) + rows * np.float32(math.sin(angle))
    ramp: _Array = (slope - slope.min()) / (slope.max() - slope.min())
    return ramp


def _stripes(rng: np.random.Generator, height: int, width: int) -> _Array:
    waves = np.sin(_ramp(rng, height, width) * np.float32(2 * math.pi * rng.uniform(4, 25)))
    hardness = np.float32(rng.uniform(0.5, 5))
    stripes: _Array = np.clip(waves * hardness, -1, 1) / 2 + np.float32(0.5)
    return stripes


def _blotches(rng: np.random.Generator, height: int, width: int, cells: int) -> _Array:
    """Soft random patches, about ``cells`` across."""
    coarse = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    blotches: _Array = np.clip(smooth, 0, 1)
    return blotches


def _light(rng: np.random.Generator, height: int, width: int) -> _Array:
    """Uneven light over the whole picture, up to a quarter darker on one side."""
    light: _Array = 1 - np.float32(rng.uniform(0, 0.25)) * _ramp(rng, height, width)
    return light


def _camera(rng: np.random.Generator, picture: _Array) -> Image.Image:
    """What a camera adds: a little blur, then noise."""
    image = _to_image(picture)
    if rng.random() < 0.6:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.4))))
    noise = rng.standard_normal((image.height, image.width, 3), dtype=np.float32)
    return _to_image(np.asarray(image, np.float32) + noise * np.float32(rng.uniform(0, 14)))


def _to_image(pixels: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))
