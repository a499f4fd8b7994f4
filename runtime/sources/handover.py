"""Where the thread that takes frames and the one that looks at them meet."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Generic, TypeVar

from runtime.sources.frame import Frame
from runtime.sources.pace import Foresight

T = TypeVar("T")

# Where every frame counts, so many wait at most: one beside the next, so that neither side stands still.
_WAITING = 2


class Handover(Generic[T]):
    """Frames on their way from one thread to another, each with what was made of it.

    Attributes:
        latest: keep only the newest frame; else whoever brings one waits until there is room.
        foresight: knows when the other side will ask again.
        came: frames given on so far.
        dropped: frames that came between them, and that nobody looked at.
    """

    def __init__(self, *, latest: bool) -> None:
        self.latest = latest
        self.foresight = Foresight()
        self.came = self.dropped = 0
        self._changed = threading.Condition()
        self._waiting: list[tuple[Frame, T]] = []
        self._failure: BaseException | None = None
        self._ended = False
        self._last_number = -1

    def put(self, frame: Frame, made: T) -> None:
        """Bring a frame; returns when it waits, or when nobody will take it any more."""
        with self._changed:
            if self.latest:
                self._waiting.clear()
            while len(self._waiting) >= _WAITING and not self._ended:
                self._changed.wait(0.5)
            self._waiting.append((frame, made))
            self._changed.notify_all()

    def outdated(self) -> None:
        """A newer frame has come, which is not decoded: what waits is too old for an answer now."""
        with self._changed:
            if self.latest:
                self._waiting.clear()

    def take(self, timeout: float) -> tuple[Frame, T] | None:
        """The next frame; None where there is none yet, or none any more.

        Raises:
            BaseException: whatever ended the thread that brings frames.
        """
        with self._changed:
            self.foresight.asked(time.monotonic())
            if not self._waiting and not self._ended:
                self._changed.wait(timeout)
            if not self._waiting:
                if self._failure is not None:
                    raise self._failure
                return None
            frame, made = self._waiting.pop(0)
            missed = frame.number - self._last_number - 1
            self._last_number = frame.number
            self.came += 1
            self.dropped += missed
            self._changed.notify_all()
            self.foresight.given(time.monotonic())
            return (replace(frame, dropped=missed) if missed else frame), made

    def end(self, failure: BaseException | None = None) -> None:
        """No more frames come, or nobody wants any."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or failure
            self._changed.notify_all()

    @property
    def waits(self) -> bool:
        """Whether there is a frame that nobody has taken yet."""
        return bool(self._waiting)

    @property
    def finished(self) -> bool:
        """Whether it has ended and nothing waits any more."""
        with self._changed:
            return self._ended and not self._waiting
