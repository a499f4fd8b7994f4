"""Where the toolkit keeps what it need not compute twice."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from converters.atomic import is_no_file
from runtime.errors import UsageError
from runtime.file_kind import shown

_VARIABLE = "EDGE_EXPORT_CACHE"


def check_writable(option: str, path: Path) -> None:
    """Make sure before the work that a file or folder can be written after it.

    Args:
        option: that names it.
        path: it, or a folder above it, need not be there.

    Raises:
        UsageError: what is there already is no folder, or one that cannot be written to; or a device or a pipe.
    """
    if is_no_file(path):
        raise UsageError(f"{option} {shown(path)} is a device or a pipe; name a file or a folder")
    resolved = path.resolve()
    places = (resolved, *resolved.parents) if resolved.is_dir() else resolved.parents
    above = next(place for place in places if place.exists())
    try:
        with tempfile.TemporaryFile(dir=above):  # asking for permissions says little of mounts, and of root nothing
            pass
    except OSError as error:
        raise UsageError(f"{option} {shown(path)}: {shown(above)} is no folder that can be written to") from error


def default_cache_dir() -> Path:
    """The user's cache folder for this tool: ``$EDGE_EXPORT_CACHE``, else where the system keeps caches."""
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "edge-export-toolkit"
