"""Frames of a source, made ready on a thread of their own while the model works on the one before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from runtime.errors import SourceError
from runtime.sources.frame import Frame, OpenSource
from runtime.sources.handover import Handover
from runtime.sources.health import Health
from runtime.sources.outages import Outages
from runtime.sources.pace import Throttle
from runtime.sources.reader import Reader, Reading

T = TypeVar("T")

# How often it is looked whether a source hangs, seconds; also how long a signal may wait on some systems.
_LOOK = 0.25
# Most sources notice by themselves that nothing comes; they are left alone this many seconds longer than that takes.
_GRACE = 2.0
# What is waited at the end for a source to let go, seconds.
_FAREWELL = 0.4
# Threads that hang in a driver cannot be ended. With so many of them, only a new process can help.
_MOST_STUCK = 8


@dataclass(frozen=True)
class Counts:
    """What has become of a source's frames.

    Attributes:
        looked_at: frames that were given on.
        dropped: frames between them that were left out: others were newer, or ``fps`` allowed no more.
        damaged: frames that could not be decoded.
        black: frames, of those given on, that show nothing.
        outages: times that the source broke.
    """

    looked_at: int
    dropped: int
    damaged: int
    black: int
    outages: int


class Capture(Generic[T]):
    """Frames of a source, made ready on a thread of their own.

    Args:
        open_source: opens it; called anew after a live source broke.
        prepare: what is done with each frame on the capture thread, its preprocessing say.
        latest: keep only the newest frame, so that an answer is never older than one frame; else every frame is
            given, and the source waits for the model. None means: of a live source, and with ``realtime``.
        realtime: play a source that has an end at its own speed.
        fps: frames looked at a second at most; the others are not even decoded. Of a file that is not played in real
            time, so many of each second of the video.
        loop: a source that has an end begins again there, and is opened again where it breaks.
        timeout: seconds without a frame after which a live source is taken for broken; None waits forever.
        log: told in one line when a source breaks and when it is back.
        idle: called some times a second while no frame comes: whoever waits for frames is alive.

    Raises:
        SourceError: the source cannot be opened at first.
        MissingPackageError: a package is needed for it.
    """

    def __init__(
        self,
        open_source: OpenSource,
        prepare: Callable[[Frame], T],
        *,
        latest: bool | None = None,
        realtime: bool = False,
        fps: float | None = None,
        loop: bool = False,
        timeout: float | None = 10.0,
        log: Callable[[str], None] = lambda line: None,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._log, self._timeout, self._idle = log, timeout, idle
        self._handover = Handover[T](latest=bool(latest))
        self._reading = Reading(
            open_source,
            prepare,
            realtime,
            loop,
            Throttle(1 / fps) if fps else None,
            self._handover,
            Outages(log),
            Health(timeout, log),
            latest,
        )
        self._left: list[Reader[T]] = []
        self._ages: tuple[int, float, float] = (0, 0.0, 0.0)
        self._closed = False
        self._reader = Reader(self._reading)
        try:
            self._wait_until_open()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[tuple[Frame, T]]:
        """Frames with what ``prepare`` made of them, until the source ends.

        Raises:
            SourceError: a source that is not live broke.
        """
        while not self._handover.finished:
            item = self._handover.take(_LOOK)
            if item is None:
                self._leave_what_hangs()
                self._idle()
                continue
            yield item
            self._note_age(item[0])
        self._handover.take(0)  # raises what ended the source, if that was an error

    @property
    def latest(self) -> bool:
        """Whether only the newest frame is kept; else every frame is given."""
        return self._handover.latest

    @property
    def counts(self) -> Counts:
        """What has become of the frames so far."""
        handover, health = self._handover, self._reading.health
        return Counts(handover.came, handover.dropped, health.damaged, health.black, self._reading.outages.count)

    def moment(self, frame: Frame) -> float:
        """When a frame was taken, seconds on some clock: the film's own where it is not played in real time."""
        source = self._reading.source
        if self._handover.latest or source is None or not source.frame_seconds:
            return frame.arrived
        return frame.number * source.frame_seconds

    def close(self) -> None:
        """Stop the thread and let the source go; a word about its frames."""
        if self._closed:
            return
        self._closed = True
        self._handover.end()
        self._reader.leave(_FAREWELL)
        if self._handover.came:
            self._log(self._summary())

    def _wait_until_open(self) -> None:
        """Until the source is open; signals are heard meanwhile.

        Raises:
            SourceError: it cannot be opened.
        """
        while not self._reading.tried.wait(_LOOK):
            if self._timeout is not None and self._reader.stuck_for() > self._timeout + _GRACE:
                raise SourceError(
                    f"the camera does not open: nothing for {self._timeout:g} s; is its driver or server well?"
                )
        if self._reading.source is None:
            self._handover.take(0)

    def _leave_what_hangs(self) -> None:
        """Where the source has not returned for too long, leave its thread to itself and begin with a new one."""
        source, timeout = self._reading.source, self._timeout
        if timeout is None or not self._reading.reopens or self._reader.stuck_for() < timeout + _GRACE:
            return
        name = source.name if source else ""
        error = SourceError(f"--camera {name}: hangs, and has not answered for {self._reader.stuck_for():.0f} s")
        self._reader.leave(_FAREWELL)
        self._left = [reader for reader in [*self._left, self._reader] if reader.alive]
        if len(self._left) >= _MOST_STUCK:
            raise SourceError(f"--camera {name}: hung {_MOST_STUCK} times, and never returned; start this command anew")
        self._reader = Reader(self._reading, self._reading.outages.pause_after(error))

    def _note_age(self, frame: Frame) -> None:
        age = time.monotonic() - frame.arrived
        count, total, most = self._ages
        self._ages = (count + 1, total + age, max(most, age))

    def _summary(self) -> str:
        counts, (answers, total, most) = self.counts, self._ages
        source = self._reading.source
        live = self._handover.latest
        parts = [f"{counts.looked_at} frames looked at"]
        parts += [f"{counts.dropped} left out"] if live or counts.dropped else []
        parts += [
            f"{number} {what}" for number, what in ((counts.damaged, "damaged"), (counts.black, "black")) if number
        ]
        if counts.outages:
            parts.append(f"{counts.outages} outages" if counts.outages > 1 else "1 outage")
        text = f"--camera {source.name if source else ''}: {', '.join(parts)}"
        if answers and live:
            text += f"; answers {total / answers * 1000:.0f} ms old on average, {most * 1000:.0f} at most"
        return text
