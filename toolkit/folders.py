"""Where the toolkit keeps what it need not compute twice."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_VARIABLE = "EDGE_EXPORT_CACHE"


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
