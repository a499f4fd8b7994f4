"""``--camera test``: a moving pattern, to try everything without a camera."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.sources.frame import Frame, frame_of

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_SIZE, _RATE = (640, 480), 30.0
# So many frames show one shape, which is two seconds at the usual rate.
_FRAMES_A_SHAPE = 60
#: What is shown, one after the other, and its colour.
SHAPES = (
    ("circle", (220, 40, 40)),
    ("square", (40, 180, 60)),
    ("triangle", (50, 80, 220)),
    ("plus", (230, 190, 30)),
)


class PatternSource:
    """A ``FrameSource`` that draws: a shape that moves and, every 60 frames, another one.

    The same number of a frame is always the same picture.

    Args:
        size: width and height; None for 640 x 480.
        fps: frames a second; None for 30.
    """

    name = "test"
    live = True

    def __init__(self, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        self.frame_seconds: float | None = 1 / (fps or _RATE)
        self._period = 1 / (fps or _RATE)
        self._width, self._height = size or _SIZE
        self._ground = _background(self._width, self._height)
        self._due = time.monotonic()
        self._number = -1
        self._closed = threading.Event()

    def grab(self) -> bool:
        """Wait until the next frame is due; see ``FrameSource``."""
        if self._closed.wait(max(0.0, self._due - time.monotonic())):
            return False
        self._due = max(self._due, time.monotonic() - self._period) + self._period
        self._number += 1
        return True

    def retrieve(self) -> Frame:
        """Draw the frame."""
        started = time.perf_counter()
        pixels = self.draw(self._number)
        return frame_of(self.name, self._number, pixels, (time.perf_counter() - started) * 1000)

    def close(self) -> None:
        """Give no frames any more."""
        self._closed.set()

    def draw(self, number: int) -> NDArray[np.uint8]:
        """The picture of this number, uint8 (height, width, 3), RGB."""
        from PIL import Image, ImageDraw

        image = Image.fromarray(self._ground)
        shape, colour = SHAPES[number // _FRAMES_A_SHAPE % len(SHAPES)]
        angle = number / _FRAMES_A_SHAPE * math.tau
        radius = min(self._width, self._height) * 0.3
        x = self._width / 2 + (self._width / 2 - radius) * 0.8 * math.sin(angle)
        y = self._height / 2 + (self._height / 2 - radius) * 0.8 * math.sin(2 * angle)
        _draw_shape(ImageDraw.Draw(image), shape, (x, y), radius, colour)
        return np.array(image)


def _background(width: int, height: int) -> NDArray[np.uint8]:
    """Grey, a little lighter towards the lower right corner: uint8 (height, width, 3)."""
    rows, columns = np.mgrid[0:height, 0:width]
    grey = 90 + 50 * (rows / height + columns / width) / 2
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def _draw_shape(
    draw: ImageDraw, shape: str, centre: tuple[float, float], radius: float, colour: tuple[int, int, int]
) -> None:
    x, y = centre
    near, wide = radius * 0.8, radius * 0.3
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    elif shape == "square":
        draw.rectangle((x - near, y - near, x + near, y + near), fill=colour)
    elif shape == "plus":
        draw.rectangle((x - radius, y - wide, x + radius, y + wide), fill=colour)
        draw.rectangle((x - wide, y - radius, x + wide, y + radius), fill=colour)
    else:
        corners = [
            (x + radius * math.sin(turn), y - radius * math.cos(turn)) for turn in (0, math.tau / 3, -math.tau / 3)
        ]
        draw.polygon(corners, fill=colour)
