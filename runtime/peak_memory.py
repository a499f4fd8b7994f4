"""How much memory this process has used at most."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
# Writing 5 sets the peak back to what is used now: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html
_CLEAR = Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Let the peak begin anew with what is used now, where the system can do that (Linux)."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def resident_memory() -> int | None:
    """Resident memory now, bytes; files that are mapped count. None where the system does not say (not Linux)."""
    try:
        found = re.search(r"^VmRSS:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def peak_memory() -> int | None:
    """Largest resident memory so far, bytes; files that are mapped count. None where the system does not say."""
    if sys.platform == "linux":
        try:
            found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        except OSError:
            return None
        return int(found[1]) * 1024 if found else None
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, the others in kB
