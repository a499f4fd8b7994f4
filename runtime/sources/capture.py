"""A thread that takes frames from a source and makes them ready, while the model works on the one before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from runtime.errors import SourceError, one_line
from runtime.sources.frame import Frame, FrameSource, OpenSource

T = TypeVar("T")

# Pauses before a source that broke is opened again, seconds: doubled each time, up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Capture(Generic[T]):
    """Frames of a source, made ready on a thread of their own.

    Args:
        open_source: opens it; called anew after a live source broke.
        prepare: what is done with each frame on the capture thread, its preprocessing say.
        latest: keep only the newest frame, so that an answer is never older than one frame; else every frame is
            given, and the source waits for the model.
        fps: frames given a second at most.
        log: told in one line when a source breaks and when it is back.

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
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._open_source, self._prepare, self._log = open_source, prepare, log
        self._source: FrameSource = open_source()
        self._latest = self._source.live or realtime if latest is None else latest
        self._realtime = realtime and not self._source.live
        self._pause = 1 / fps if fps else 0.0
        self._changed = threading.Condition()
        self._waiting: list[tuple[Frame, T]] = []
        self._failure: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __iter__(self) -> Iterator[tuple[Frame, T]]:
        """Frames with what ``prepare`` made of them, until the source ends.

        Raises:
            SourceError: a source that is not live broke.
        """
        self._thread.start()
        due = time.monotonic()
        while True:
            with self._changed:
                # In short waits: a signal is only seen between two of them on some systems.
                while not self._waiting and not self._ended:
                    self._changed.wait(0.5)
                if not self._waiting:
                    break
                item = self._waiting.pop(0)
                self._changed.notify_all()
            yield item
            if self._pause:
                due = max(due + self._pause, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop the thread and let the source go."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._source.close()

    def _run(self) -> None:
        try:
            while not self._ended:
                try:
                    self._take_all()
                    break
                except SourceError as error:
                    if not self._source.live:
                        raise
                    self._reopen(error)
        except BaseException as error:  # handed to the thread that waits for frames
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take_all(self) -> None:
        begun, count = time.monotonic(), 0
        while not self._ended and self._source.grab():
            if self._realtime and self._source.frame_seconds:
                time.sleep(max(0.0, begun + count * self._source.frame_seconds - time.monotonic()))
                count += 1
            frame = self._source.retrieve()
            self._put((frame, self._prepare(frame)))

    def _put(self, item: tuple[Frame, T]) -> None:
        with self._changed:
            if self._latest:
                self._waiting[:] = [item]
            else:
                while len(self._waiting) > 1 and not self._ended:
                    self._changed.wait(0.5)
                self._waiting.append(item)
            self._changed.notify_all()

    def _reopen(self, error: SourceError) -> None:
        """Open the source again, with growing pauses, until that succeeds or nobody waits any more."""
        self._log(f"{one_line(error)}; trying to open it again")
        self._source.close()
        pause, begun = _FIRST_PAUSE, time.monotonic()
        while not self._ended:
            time.sleep(pause)
            try:
                self._source = self._open_source()
            except SourceError as again:
                pause = min(pause * 2, _LONGEST_PAUSE)
                self._log(f"{one_line(again)}; next try in {pause:g} s")
            else:
                self._log(f"--camera {self._source.name}: back after {time.monotonic() - begun:.0f} s")
                return
