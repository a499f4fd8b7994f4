"""Frames that cannot be used, and pictures that show nothing: counted, and said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, SourceError, one_line
from runtime.said import Said
from runtime.sources.frame import Frame

# Black is said to be 16 in video, and noise lifts it: a picture that has no brighter point shows nothing.
_BLACK = 24
# Every so many rows and columns are looked at: 1,200 points of 640 x 480, some microseconds.
_STEP = 16
# A camera often begins with black frames; from so many seconds of nothing else on, people are told.
_BLACK_SECONDS = 3.0


class Health:
    """Watches over the frames of one source.

    Args:
        timeout: a source that gives only damaged frames for so many seconds is taken for broken; None waits forever.
        log: told in one line what is wrong, and when it is well again.
    """

    def __init__(self, timeout: float | None, log: Callable[[str], None]) -> None:
        self.good = self.damaged = self.black = 0
        self._timeout, self._log, self._said = timeout, log, Said(log)
        self._bad_since: float | None = None
        self._black_since: float | None = None
        self._told_black = False

    def bad(self, name: str, error: ImageError, *, breaks: bool) -> None:
        """A frame is damaged.

        Args:
            name: of the source.
            error: what is wrong with the frame.
            breaks: whether a source that gives no other is to be taken for broken.

        Raises:
            SourceError: all frames have been damaged for too long.
        """
        now = time.monotonic()
        self.damaged += 1
        self._bad_since = self._bad_since or now
        self._said.say(f"{one_line(error)}; left out", "damaged")
        if breaks and self._timeout is not None and now - self._bad_since > self._timeout:
            self._bad_since = None
            raise SourceError(f"--camera {name}: nothing but damaged frames for {self._timeout:g} s")

    def fine(self, frame: Frame) -> None:
        """A frame could be used; it may be black."""
        self.good += 1
        self._bad_since = None
        if isinstance(frame.picture, bytes) or not is_black(frame.picture):
            if self._told_black:
                self._log(f"--camera {frame.source}: shows a picture again")
            self._black_since, self._told_black = None, False
            return
        self.black += 1
        now = time.monotonic()
        self._black_since = self._black_since or now
        if not self._told_black and now - self._black_since >= _BLACK_SECONDS:
            self._told_black = True
            self._log(
                f"--camera {frame.source}: nothing but black frames for {_BLACK_SECONDS:g} s (a lens cap, or no light?)"
            )

    def ended(self, name: str) -> None:
        """The source has ended by itself.

        Raises:
            SourceError: there were frames, and none could be used.
        """
        if self.damaged and not self.good:
            raise SourceError(f"--camera {name}: none of its {self.damaged} frames can be decoded")


def is_black(pixels: NDArray[Any]) -> bool:
    """Whether a picture, uint8 (height, width, 3), shows nothing at all."""
    return bool(np.max(pixels[::_STEP, ::_STEP], initial=0) <= _BLACK)
