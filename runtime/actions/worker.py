"""A thread that does what may take long, so that the loop over frames need not wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Does one thing after the other on a thread of its own; what comes while too many wait is refused.

    Args:
        name: of the thread.
        act: does one thing.
        waiting: things that may wait at most.
        failed: told what ``act`` raised; the next thing is done all the same.
    """

    def __init__(
        self,
        name: str,
        act: Callable[[T], None],
        waiting: int,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._act, self._most, self._failed = act, waiting, failed
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._busy = self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def offer(self, thing: T, waiting: int | None = None) -> bool:
        """Have it done; False where it is refused. Never waits.

        Args:
            thing: what is to be done.
            waiting: things that may wait at most, in place of the number given at first.
        """
        with self._changed:
            if self._closed or len(self._waiting) >= (waiting or self._most):
                return False
            self._waiting.append(thing)
            self._changed.notify_all()
            return True

    @property
    def idle(self) -> bool:
        """Whether nothing is being done and nothing waits."""
        with self._changed:
            return not self._busy and not self._waiting

    def close(self, seconds: float) -> bool:
        """Let what waits be done, so many seconds at most; then nothing more is. Returns whether all was."""
        until = time.monotonic() + seconds
        with self._changed:
            while (self._busy or self._waiting) and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            done = not self._busy and not self._waiting
            self._waiting.clear()
            self._closed = True
            self._changed.notify_all()
        return done

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                thing = self._waiting.popleft()
                self._busy = True
            try:
                self._act(thing)
            except Exception as error:  # of whatever kind: for a year nothing more would be done
                self._failed(error)
