"""Many things worked on by several threads at once, the results in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Things taken ahead of the result that is wanted next, for each thread: what bounds memory.
_AHEAD = 8
# Seconds that threads in the middle of a thing are waited for when nobody wants its result any more.
_LAST_WAIT = 0.8


def in_order(
    things: Iterable[T],
    worker: Callable[[], AbstractContextManager[Callable[[T], R]]],
    workers: int,
    ahead: int = _AHEAD,
) -> Generator[R, None, None]:
    """What work makes of each thing, in their order, each as soon as it is ready.

    Args:
        things: taken one by one, by the working threads, and only a few ahead of the results.
        worker: gives the work, once for each thread; a thread that finds nothing to do does not ask.
        workers: threads.
        ahead: things taken ahead of the result that is wanted next, for each thread.

    Raises:
        BaseException: what the work or the things raised, behind the results before it.
    """
    crew = _Crew(iter(things), worker, workers, ahead * workers)
    try:
        yield from crew.results()
    finally:
        crew.stop()


@dataclass(frozen=True)
class _Raised:
    error: BaseException


class _Crew(Generic[T, R]):
    """The threads, and what they share."""

    def __init__(
        self,
        things: Iterator[T],
        worker: Callable[[], AbstractContextManager[Callable[[T], R]]],
        workers: int,
        ahead: int,
    ) -> None:
        self._things, self._worker = things, worker
        self._taking = threading.Lock()
        self._changed = threading.Condition()
        self._done: dict[int, R | _Raised] = {}
        self._taken = 0  # things taken so far
        self._wanted = 0  # number of the result that is handed out next
        self._ahead = ahead
        self._busy = 0
        self._ended = False
        for number in range(workers):
            threading.Thread(target=self._run, name=f"worker {number}", daemon=True).start()

    def results(self) -> Iterator[R]:
        while True:
            with self._changed:
                # In short waits: a signal is only seen between two of them on some systems.
                while self._wanted not in self._done and not (self._ended and self._wanted >= self._taken):
                    self._changed.wait(0.5)
                if self._wanted not in self._done:
                    return
                result = self._done.pop(self._wanted)
                self._wanted += 1
                self._changed.notify_all()
            if isinstance(result, _Raised):
                raise result.error
            yield result

    def stop(self) -> None:
        """Let the threads end; those in the middle of a thing get a moment for it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            until = time.monotonic() + _LAST_WAIT
            while self._busy and time.monotonic() < until:
                self._changed.wait(0.05)

    def _run(self) -> None:
        taken = self._take()
        if taken is None:
            return
        number = taken[0]
        try:
            with self._worker() as work:
                while taken is not None:
                    number = taken[0]
                    result: R | _Raised = work(taken[1])
                    self._put(number, result)
                    taken = self._take()
        except BaseException as error:  # handed to whoever wants the results
            self._put(number, _Raised(error), last=True)

    def _take(self) -> tuple[int, T] | None:
        with self._taking:  # held while waiting for a thing: the next in order is the next to be taken
            with self._changed:
                while self._taken - self._wanted >= self._ahead and not self._ended:
                    self._changed.wait(0.5)
                if self._ended:
                    return None
            number = self._taken
            try:
                thing = next(self._things)
            except StopIteration:
                with self._changed:
                    self._ended = True
                    self._changed.notify_all()
                return None
            except BaseException as error:
                self._taken += 1
                self._busy += 1
                self._put(number, _Raised(error), last=True)
                return None
            with self._changed:
                self._taken += 1
                self._busy += 1
            return number, thing

    def _put(self, number: int, result: R | _Raised, last: bool = False) -> None:
        with self._changed:
            self._done[number] = result
            self._busy -= 1
            self._ended = self._ended or last
            self._changed.notify_all()
