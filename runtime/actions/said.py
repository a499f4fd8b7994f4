"""Lines in the log about what goes wrong again and again."""

from __future__ import annotations

import threading
import time
from typing import TextIO

# The same line is written again after so many seconds at the soonest: at first, and doubled each time, at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0


class Said:
    """Writes lines to the log; what was just said is not said again, but counted.

    A broker that is away for a week or a full disk must not fill the journal. Threads may share it.

    Args:
        log: where lines go.
        name: what stands before each, the option that the user gave say.
    """

    def __init__(self, log: TextIO, name: str) -> None:
        self._log, self._name = log, name
        self._lock = threading.Lock()
        self._before, self._moment, self._again, self._pause = "", 0.0, 0, _FIRST_PAUSE

    def say(self, line: str) -> None:
        """Write the line, unless the last one was the same and is not old enough."""
        now = time.monotonic()
        with self._lock:
            same = line == self._before
            if same and now - self._moment < self._pause:
                self._again += 1
                return
            count = f" ({self._again + 1} times)" if self._again and same else ""
            self._pause = min(2 * self._pause, _LONGEST_PAUSE) if same else _FIRST_PAUSE
            self._before, self._moment, self._again = line, now, 0
            self._write(f"{self._name}: {line}{count}\n")

    def forget(self) -> None:
        """The trouble is over: the next one is news, even if it is the same."""
        with self._lock:
            self._before, self._again = "", 0

    def _write(self, line: str) -> None:
        try:
            self._log.write(line)
            self._log.flush()
        except (OSError, ValueError):  # nobody reads the log any more; ValueError: it is closed
            pass
