"""Lines in the log about what goes wrong again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

# The same line is written again after so many seconds at the soonest: at first, and doubled each time, at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
# Different lines that are remembered.
_REMEMBERED = 20


class Said:
    """Writes lines to the log; what was just said is not said again, but counted.

    A broker that is away for a week or a full disk must not fill the journal. Threads may share it.

    Args:
        log: takes a line.
        name: what stands before each, the option that the user gave say; empty for nothing.
    """

    def __init__(self, log: Callable[[str], None], name: str = "") -> None:
        self._log, self._before = log, f"{name}: " if name else ""
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def say(self, line: str, kind: str | None = None) -> None:
        """Write the line, unless the same, or one of its kind, was written not long ago."""
        now, kind = time.monotonic(), kind or line
        with self._lock:
            before = self._lines.get(kind)
            if before is None:
                if len(self._lines) >= _REMEMBERED:
                    del self._lines[next(iter(self._lines))]
                self._lines[kind] = _Line(now)
            elif now - before.moment < before.pause:
                before.again += 1
                return
            count = f" ({before.again + 1} times)" if before is not None and before.again else ""
            if before is not None:
                before.moment, before.again, before.pause = now, 0, min(2 * before.pause, _LONGEST_PAUSE)
            self._write(f"{self._before}{line}{count}")

    def forget(self) -> None:
        """The trouble is over: the next one is news, even if it is the same."""
        with self._lock:
            self._lines.clear()

    def _write(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads the log any more; ValueError: it is closed
            self._log(line)


@dataclass
class _Line:
    """When a line was written, how long it is not written again, and how often it should have been meanwhile."""

    moment: float
    pause: float = _FIRST_PAUSE
    again: int = 0
