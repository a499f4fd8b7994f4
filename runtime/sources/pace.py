"""Which frames are worth the work of decoding them."""

from __future__ import annotations

import threading
from collections import deque

# So many of the latest durations stand for the next one: enough to see jitter, few enough to follow a change.
_MEMORY = 8


class Throttle:
    """Lets so many frames a second through.

    Args:
        period: seconds between two frames at least, on average.
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._due: float | None = None

    def passes(self, moment: float, interval: float | None) -> bool:
        """Whether the frame of this moment is the one to look at.

        Args:
            moment: seconds, on any clock that does not go back.
            interval: between two frames of the source, seconds; None where that is not known yet. The frame nearest
                to the moment that is due passes, or 30 frames a second, with some jitter, would be cut to 15.
        """
        if self._due is None:
            self._due = moment
        if moment < self._due - (interval or 0.0) / 2:
            return False
        self._due += self._period
        if self._due < moment:  # the source is slower than allowed: what it missed is not made up for
            self._due = moment + self._period - (interval or 0.0) / 2
        return True


class Foresight:
    """Tells a frame that will be outdated before anyone asks for it; two threads use it.

    One is in the model, for ``busy`` seconds as a rule; the other takes frames, one every ``interval``, and makes them
    ready in ``work`` seconds. Where the next frame will be ready in time too, this one is decoded for nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: deque[float] = deque(maxlen=_MEMORY)
        self._intervals: deque[float] = deque(maxlen=_MEMORY)
        self._work: deque[float] = deque(maxlen=_MEMORY)
        self._busy_since: float | None = None
        self._came: float | None = None

    @property
    def interval(self) -> float | None:
        """Seconds between two frames of the source, on average; None before there were enough."""
        with self._lock:
            return sum(self._intervals) / len(self._intervals) if len(self._intervals) == _MEMORY else None

    def asked(self, now: float) -> None:
        """The model is free."""
        with self._lock:
            if self._busy_since is not None:
                self._busy.append(now - self._busy_since)
            self._busy_since = None

    def given(self, now: float) -> None:
        """The model has got a frame."""
        with self._lock:
            self._busy_since = now

    def came(self, now: float) -> None:
        """A frame has come."""
        with self._lock:
            if self._came is not None:
                self._intervals.append(now - self._came)
            self._came = now

    def worked(self, seconds: float) -> None:
        """A frame was decoded and made ready."""
        with self._lock:
            self._work.append(seconds)

    def in_vain(self, now: float) -> bool:
        """Whether the next frame will surely be ready before the model is free: this one need not be decoded."""
        with self._lock:
            if self._busy_since is None or not len(self._busy) == len(self._intervals) == len(self._work) == _MEMORY:
                return False
            return now + max(self._intervals) + max(self._work) < self._busy_since + min(self._busy)
