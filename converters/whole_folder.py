"""A folder that is replaced as one piece: whenever the process is killed, the old one or the new one is there.

The new content grows in ``.NAME.edge-export-new-*`` beside the folder and then takes its place; the old one waits in
``.NAME.edge-export-old-*`` for that moment. What a killed process leaves behind is cleared up by the next one, which
tells it from the work of a living process by its lock (``converters.locks``).
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from converters.locks import is_dead, lock, locked, unlock
from runtime.file_kind import shown

#: What stands in the name of a folder that a killed process may leave.
LEFTOVER = ".edge-export-"
_NEW, _OLD = f"{LEFTOVER}new-", f"{LEFTOVER}old-"
# What stands behind them; earlier versions took letters too.
_RANDOM = "[a-z0-9_]{8}"


def in_the_way(folder: Path) -> str | None:
    """Why ``replace_folder`` would fail here, as far as that shows before; None where nothing does."""
    folder = folder.resolve()
    above = _above(folder)
    if not above.is_dir():
        return f"{shown(above)} is a file"
    if os.path.ismount(folder):
        return "it is a mount point, which cannot be replaced as a whole; name a folder in it"
    places = [above, folder] if folder.exists() else [above]
    closed = next((place for place in places if not os.access(place, os.W_OK)), None)
    return None if closed is None else f"{shown(closed)} cannot be written to (read-only, or no permission)"


@contextmanager
def standing_still(folder: Path) -> Iterator[None]:
    """No other process is between two steps of replacing this folder while the block looks at it."""
    with locked(_above(folder.resolve())):
        yield


def _above(folder: Path) -> Path:
    return next((parent for parent in folder.parents if parent.exists()), folder)


def replace_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it in the place of the old one, which goes with everything in it.

    Raises:
        OSError: it cannot be written; the old folder is as it was.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging, alive = folder.parent / f".{folder.name}{_NEW}{_random()}", None
    try:  # a signal may end it at any moment from the first on
        with locked(folder.parent):
            staging.mkdir()
            alive = lock(staging)
        fill(staging)
        with locked(folder.parent):
            _clear_up(folder)
            _swap(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        unlock(alive)


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder for the time of the block; those that killed processes left behind are removed.

    Args:
        parent: where it lies, so that files can be moved from it in one step.
        prefix: beginning of its name, which nothing else in ``parent`` has.

    Raises:
        OSError: it cannot be made.
    """
    with locked(parent):
        for left in dead_scratch_folders(parent, prefix):
            shutil.rmtree(left, ignore_errors=True)
    folder, alive = parent / f"{prefix}{_random()}", None
    try:
        with locked(parent):
            folder.mkdir()
            alive = lock(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        unlock(alive)


def dead_scratch_folders(parent: Path, prefix: str) -> list[Path]:
    """Those of ``scratch_folder`` that killed processes left, for the holder of the parent's lock."""
    found = parent.glob(f"{glob.escape(prefix)}*")
    return [left for left in found if re.fullmatch(_RANDOM, left.name.removeprefix(prefix)) and is_dead(left)]


def clear_up(folder: Path) -> None:
    """Bring back a folder whose replacement was killed half-way, and remove what killed processes left."""
    folder = folder.resolve()
    if folder.parent.is_dir():
        with suppress(OSError), locked(folder.parent):
            _clear_up(folder)


def _clear_up(folder: Path) -> None:
    """The same, for the holder of the parent's lock: nobody else is between two steps of ``_swap``."""
    retired = sorted(_left(folder, _OLD), key=lambda path: path.stat().st_mtime)
    if retired and not folder.exists():
        retired.pop().replace(folder)
    for left in retired:
        shutil.rmtree(left, ignore_errors=True)
    for left in _left(folder, _NEW):
        if is_dead(left):
            shutil.rmtree(left, ignore_errors=True)


def _left(folder: Path, mark: str) -> list[Path]:
    """Folders beside this one that have a name as ``replace_folder`` gives it, to the letter."""
    found = folder.parent.glob(f"{glob.escape(f'.{folder.name}{mark}')}*")
    return [path for path in found if re.fullmatch(_RANDOM, path.name.removeprefix(f".{folder.name}{mark}"))]


def _swap(staging: Path, folder: Path) -> None:
    if not folder.exists():
        staging.replace(folder)
        return
    retired = staging.with_name(f".{folder.name}{_OLD}{staging.name[-8:]}")
    folder.replace(retired)
    try:
        staging.replace(folder)
    except BaseException:
        retired.replace(folder)
        raise
    shutil.rmtree(retired, ignore_errors=True)


def _random() -> str:
    """What makes a name that nobody else has, as ``_RANDOM`` knows it again."""
    return secrets.token_hex(4)
