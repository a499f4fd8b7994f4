"""Turns, mirrors and crops frames, before anything else sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UsageError
from runtime.sources.frame import Frame, FrameSource


@dataclass(frozen=True)
class Roi:
    """Region of interest: left, top, width and height.

    Attributes:
        fractions: whether they are fractions of the frame, 0..1; else pixels.
    """

    left: float
    top: float
    width: float
    height: float
    fractions: bool = False

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of a frame of this size.

        Raises:
            UsageError: it reaches beyond the frame.
        """
        across, down = (width, height) if self.fractions else (1, 1)
        left, top = round(self.left * across), round(self.top * down)
        right = max(left + 1, round((self.left + self.width) * across))
        bottom = max(top + 1, round((self.top + self.height) * down))
        if right > width or bottom > height:
            raise UsageError(
                f"--roi {self.left:g},{self.top:g},{self.width:g},{self.height:g} reaches beyond the picture, which is "
                f"{width} x {height} pixels"
            )
        return left, top, right, bottom


@dataclass(frozen=True)
class View:
    """How frames are turned, then mirrored, then cropped; see ``CameraOptions``."""

    rotate: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    roi: Roi | None = None

    @property
    def leaves_all(self) -> bool:
        """Whether it leaves frames as they are."""
        return not self.rotate and not self.mirror and self.roi is None

    def pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is left to look at, of uint8 (height, width, 3).

        Raises:
            UsageError: the region of interest reaches beyond the picture.
        """
        # All three only look at the same memory in another way; what is copied at last is what is left.
        seen = np.rot90(pixels, -self.rotate // 90)
        if self.mirror:
            seen = seen[:, ::-1]
        if self.roi is not None:
            left, top, right, bottom = self.roi.box(seen.shape[1], seen.shape[0])
            seen = seen[top:bottom, left:right]
        return np.ascontiguousarray(seen)

    def of(self, source: FrameSource) -> FrameSource:
        """A source whose frames are seen in this way."""
        return _ViewedSource(source, self)


class _ViewedSource:
    def __init__(self, source: FrameSource, view: View) -> None:
        self.name, self.live, self.frame_seconds = source.name, source.live, source.frame_seconds
        self._source, self._view = source, view

    def grab(self) -> bool:
        return self._source.grab()

    def retrieve(self) -> Frame:
        frame = self._source.retrieve()
        pixels = frame.pixels() if isinstance(frame.picture, bytes) else frame.picture
        return replace(frame, picture=self._view.pixels(pixels), encoded=None)

    def close(self) -> None:
        self._source.close()
