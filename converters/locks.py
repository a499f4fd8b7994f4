"""Tells the work of a living process from what a killed one left: the system lets go of a lock when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where nothing can be locked (Windows), older leftovers than this are taken for dead, seconds.
_DEAD_AFTER = 86_400.0


def is_dead(path: Path) -> bool:
    """Whether no living process holds the lock of a file or folder."""
    found = lock(path)
    if found is not None:
        unlock(found)
        return True
    if os.name == "nt":
        return time.time() - path.stat().st_mtime > _DEAD_AFTER
    return False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait for a folder's lock, and hold it in the block; without effect where folders cannot be locked."""
    descriptor = lock(folder, wait=True)
    try:
        yield
    finally:
        unlock(descriptor)


def lock(path: Path, wait: bool = False) -> int | None:
    """A descriptor that holds the lock of a file or folder; None where it is taken, or cannot be locked."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = None
    try:
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # taken, or a network file system without locks
        unlock(descriptor)
        return None
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Let go of what ``lock`` gave."""
    if descriptor is not None:
        os.close(descriptor)
