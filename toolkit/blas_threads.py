"""How many threads numpy's matrix products take."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# OpenBLAS as it is called in numpy's wheels since 2.0, in older ones, and in distributions and conda.
_NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let matrix products run in the calling thread alone for the time of the block, in the whole process.

    A product of a millisecond gains little from a second thread, and loses much where a processor is not free: each
    waits, spinning, until the other was let on. 250 of them beside one busy program took five times as long by two
    threads as by one. The sums are added up in one order then, whatever the number of processors. Blocks of several
    threads that overlap are one. Without effect where numpy does not stand on OpenBLAS.
    """
    _LIMIT.begin()
    try:
        yield
    finally:
        _LIMIT.end()


class _Limit:
    """The limit, while blocks ask for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._before = 0

    def begin(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1 and (found := _openblas()) is not None:
                get, put = found
                self._before = get()
                put(1)

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks and (found := _openblas()) is not None:
                found[1](self._before)


_LIMIT = _Limit()


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """What asks for and sets the number of threads; None where it is not there."""
    try:
        from numpy.linalg import _umath_linalg

        library = ctypes.CDLL(_umath_linalg.__file__)  # a name is looked up in what it was linked with, too
    except (ImportError, OSError):
        return None
    for name in _NAMES:
        get, put = (getattr(library, name.format(verb), None) for verb in ("get", "set"))
        if get is not None and put is not None:
            return get, put
    return None
