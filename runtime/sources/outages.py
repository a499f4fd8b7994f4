"""When a source that broke is opened again, and what is said of it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.errors import one_line

# Pauses before a source that broke is opened again, seconds: doubled each time, up to the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# A camera that has given frames for so long after an outage is sound again.
_SOUND = 60.0
# A camera that stays away is told of every so many seconds: a year of it must not fill the log.
_REMINDER = 600.0


class Outages:
    """Counts a source's outages, and paces the tries to open it again.

    Args:
        log: told in one line when the source breaks, while it stays away, and when it is back.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self.count = 0
        self._log = log
        self._pause = 0.0
        self._away = self._told = False
        self._begun = self._said = self._back = 0.0

    def pause_after(self, error: BaseException) -> float:
        """Seconds to wait before the next try."""
        now = time.monotonic()
        if not self._away:
            self.count += 1
            self._away, self._begun = True, now
            sound = not self._pause or now - self._back >= _SOUND
            # One that comes for a moment, again and again, is like one that stays away.
            self._pause = _FIRST_PAUSE if sound else min(self._pause * 2, _LONGEST_PAUSE)
            self._told = self._pause < _LONGEST_PAUSE or now - self._said >= _REMINDER
            if self._told:
                self._said = now
                self._log(f"{one_line(error)}; opening it again")
        elif self._pause < _LONGEST_PAUSE:
            self._said, self._told = now, True
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            self._log(f"{one_line(error)}; next try in {self._pause:g} s")
        elif now - self._said >= _REMINDER:
            self._said, self._told = now, True
            self._log(f"{one_line(error)}; away for {(now - self._begun) / 60:.0f} minutes")
        return self._pause

    def over(self, name: str) -> None:
        """The source gives frames."""
        if not self._away:
            return
        self._away, self._back = False, time.monotonic()
        if self._told:
            self._log(f"--camera {name}: back after {time.monotonic() - self._begun:.0f} s")
