"""Keeps the chatter of native libraries from the terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from runtime.errors import EdgeExportError


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what is written to standard error in the block; shown after all if it fails.

    An error of ours says all that is needed by itself, so nothing is shown with it.

    Interpreters and TensorFlow's converter log from C++ through file descriptor 2, which no Python setting
    reaches. The descriptor belongs to the whole process: what other threads write there is lost too, see
    ``own_stderr``; and blocks that overlap are one, from the first that begins to the last that ends.
    """
    _HELD.begin()
    try:
        yield
    except EdgeExportError:
        raise
    except Exception:
        _HELD.show()
        raise
    finally:
        _HELD.end()


def release_stderr() -> None:
    """Let standard error through again, for the last words of a process that a signal ends.

    The signal may have come where a block begins, so that none ends it; and other threads may be in blocks of theirs.
    """
    _HELD.release()


@contextmanager
def own_stderr() -> Iterator[None]:
    """Give ``sys.stderr`` a descriptor of its own in the block: its lines come at once, whatever is held back.

    Where it is something else than descriptor 2, as in tests, it stays what it is.
    """
    before = sys.stderr
    try:
        number = os.dup(2) if before is not None and before.fileno() == 2 else None
    except (OSError, ValueError):  # no file, or none any more
        number = None
    if number is None:
        yield
        return
    with os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace") as own:
        before.flush()
        sys.stderr = own
        try:
            yield
        finally:
            sys.stderr = before


class _Held:
    """Standard error, while blocks hold it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._saved: int | None = None
        self._caught: IO[bytes] | None = None

    def begin(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks > 1:
                return
            try:
                saved = os.dup(2)
            except OSError:  # no standard error at all: nothing to hold back
                return
            try:
                caught = _scratch_file()  # closed by ``end``
            except OSError:  # nowhere to hold it
                os.close(saved)
                return
            self._saved, self._caught = saved, caught  # first: Ctrl-C may come between any two lines
            sys.stderr.flush()
            os.dup2(caught.fileno(), 2)

    def show(self) -> None:
        with self._lock:
            if self._saved is not None and self._caught is not None:
                sys.stderr.flush()
                self._caught.seek(0)
                os.write(self._saved, self._caught.read()[-20_000:])
                self._caught.seek(0)
                self._caught.truncate()  # blocks around this one do not show it again

    def release(self) -> None:
        with self._lock:
            if self._saved is not None:
                os.dup2(self._saved, 2)

    def end(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks or self._saved is None or self._caught is None:
                return
            sys.stderr.flush()
            os.dup2(self._saved, 2)
            os.close(self._saved)
            self._caught.close()
            self._saved = self._caught = None


def _scratch_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):  # in memory, and without the modules that temporary files take to load
        try:
            return os.fdopen(os.memfd_create("stderr"), "w+b")
        except OSError:  # a kernel or a sandbox without it
            pass
    import tempfile

    return tempfile.TemporaryFile()


_HELD = _Held()
