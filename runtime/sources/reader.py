"""The thread that opens a source, takes its frames, and opens it again after it broke."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from runtime.errors import ImageError, SourceError
from runtime.sources.frame import Frame, FrameSource, OpenSource
from runtime.sources.handover import Handover
from runtime.sources.health import Health
from runtime.sources.outages import Outages
from runtime.sources.pace import Throttle

T = TypeVar("T")

# Frames a second of a video that does not say how many it has.
_USUAL_RATE = 25.0


@dataclass
class Reading(Generic[T]):
    """What all readers of a source share, one after the other.

    Attributes:
        open_source: opens it.
        prepare: what is done with each frame that is looked at.
        realtime: a source with an end is played at its own speed.
        loop: such a source begins again at its end.
        throttle: which frames are looked at; None for all.
        handover: takes them.
        outages: paces the tries to open it again.
        health: counts what is wrong with frames.
        latest: as ``Capture`` has it.
        source: the one that is open, or was last; None where none could be opened so far.
        number: of the next frame.
        tried: set when it is known whether the source can be opened at all.
    """

    open_source: OpenSource
    prepare: Callable[[Frame], T]
    realtime: bool
    loop: bool
    throttle: Throttle | None
    handover: Handover[T]
    outages: Outages
    health: Health
    latest: bool | None = None
    source: FrameSource | None = None
    number: int = 0
    tried: threading.Event = field(default_factory=threading.Event)

    @property
    def reopens(self) -> bool:
        """Whether the source is opened again after it broke."""
        return self.source is not None and (self.source.live or self.loop)


class Reader(Generic[T]):
    """One thread of its own over the source; it may be left alone where the source never returns.

    Args:
        reading: what to read, and for whom.
        pause: seconds to wait before the source is opened.
    """

    def __init__(self, reading: Reading[T], pause: float = 0.0) -> None:
        self._reading = reading
        self._pause = pause
        self._left = threading.Event()
        self._entered: float | None = None
        self._source: FrameSource | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def stuck_for(self) -> float:
        """Seconds since it called the source, without an answer so far; 0 where it does not wait for one."""
        entered = self._entered
        return 0.0 if entered is None else time.monotonic() - entered

    def leave(self, patience: float = 0.0) -> None:
        """Let it end by itself, and wait for that so many seconds at most: no code can be stopped from outside."""
        self._left.set()
        self._thread.join(patience / 4)  # as a rule it sees by itself, and closes the source on its own thread
        source = self._source
        if source is not None and self._thread.is_alive():
            source.close()
        self._thread.join(patience * 3 / 4)

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            while not self._left.wait(self._pause):
                try:
                    self._open()
                    self._read()
                    break
                except SourceError as error:
                    if self._left.is_set() or not self._reading.reopens:
                        raise
                    self._close()
                    self._pause = self._reading.outages.pause_after(error)
        except BaseException as error:  # handed to the thread that waits for frames
            failure = error
        finally:
            self._close()
            if not self._left.is_set():
                self._reading.handover.end(failure)
                self._reading.tried.set()

    def _open(self) -> None:
        self._entered = time.monotonic()
        try:
            source = self._reading.open_source()
        finally:
            self._entered = None
        self._source = source
        if self._left.is_set():
            return
        reading = self._reading
        if reading.latest is None:
            reading.handover.latest = reading.realtime or source.live
        reading.source = source
        reading.tried.set()

    def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _read(self) -> None:
        """Take frames until the source ends, or nobody wants them."""
        reading, first = self._reading, self._reading.number
        begun, count = time.monotonic(), 0
        while not self._left.is_set():
            source = self._source
            if source is None:
                return
            more = self._grab(source)
            if self._left.is_set():
                return
            if not more:
                if not reading.loop or source.live:
                    reading.health.ended(source.name)
                    return
                self._close()
                self._open()
                first, begun, count = reading.number, time.monotonic(), 0
                continue
            late = 0.0
            if reading.realtime and not source.live and source.frame_seconds:
                late = time.monotonic() - begun - count * source.frame_seconds
                if late < 0 and self._left.wait(-late):
                    return
            count += 1
            if self._wanted(source, late):
                self._take(source, first)
            else:
                reading.number += 1

    def _grab(self, source: FrameSource) -> bool:
        self._entered = time.monotonic()
        try:
            return source.grab()
        finally:
            self._entered = None

    def _wanted(self, source: FrameSource, late: float) -> bool:
        """Whether anybody will look at the frame that has just come."""
        reading, now = self._reading, time.monotonic()
        handover = reading.handover
        handover.foresight.came(now)
        interval = handover.foresight.interval
        if handover.latest:
            # A file that is played too slowly for its own speed catches up by leaving frames out.
            wanted = late <= (source.frame_seconds or 0.0) and not handover.foresight.in_vain(now)
            if not wanted:
                handover.outdated()
                return False
        elif not reading.realtime:  # as fast as it goes: the video's own time counts
            interval = source.frame_seconds or 1 / _USUAL_RATE
            now = reading.number * interval
        # Where an earlier frame still waits to be looked at, this one takes its place.
        waits = handover.latest and handover.waits
        return waits or reading.throttle is None or reading.throttle.passes(now, interval)

    def _take(self, source: FrameSource, first: int) -> None:
        """Decode the frame, make it ready, and give it on."""
        reading = self._reading
        arrived, moment = time.monotonic(), time.time()
        self._entered = arrived
        try:
            frame = source.retrieve()
            number = max(reading.number, first + frame.number)
            frame = replace(frame, number=number, time=moment, arrived=arrived)
            reading.number = number + 1
            self._entered = None
            made = reading.prepare(frame)
        except ImageError as error:
            reading.number += 1
            reading.health.bad(source.name, error, breaks=reading.reopens)
            return
        finally:
            self._entered = None
        reading.health.fine(frame)
        reading.outages.over(source.name)
        reading.handover.foresight.worked(time.monotonic() - arrived)
        if not self._left.is_set():
            reading.handover.put(frame, made)
