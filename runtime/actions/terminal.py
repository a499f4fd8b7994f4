"""One live line on a terminal."""

from __future__ import annotations

import io
import os
import shutil
import threading
import time
import unicodedata
from typing import TextIO, cast

from runtime.actions.action import Seen
from runtime.actions.text import summary

# To the first column, and everything right of it away: ECMA-48, "EL".
_CLEAR = "\r\x1b[K"
# Seconds between two writings of the line: more often nobody can read it.
_PAUSE = 0.1


class LiveLine:
    """One line that is written over and over: the answer, and how fast answers come.

    Args:
        out: a terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._shown_at = 0.0
        self._rate = 0.0
        self._before: float | None = None
        self._seen: Seen | None = None

    def handle(self, seen: Seen) -> None:
        """Write the line anew, ten times a second at most, and at once where the labels changed."""
        now = time.monotonic()
        if self._before is not None and now > self._before:
            rate = 1 / (now - self._before)
            self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate
        self._before = now
        self._seen = seen
        if seen.changed or now - self._shown_at >= _PAUSE:
            self._shown_at = now
            self._write()

    def close(self) -> None:
        """Leave the last answer on the terminal, and the cursor under it."""
        if self._seen is not None:
            self._write()
            self._out.write("\n")
            self._out.flush()
            self._seen = None

    def above(self, log: TextIO) -> TextIO:
        """The log, for while there is a live line: each of its lines takes the live line's place.

        Where the log is no terminal, it is given as it is.
        """
        return cast(TextIO, _Above(self, log)) if log.isatty() else log

    def make_room(self) -> None:
        """Take the line away; the next answer brings it back."""
        with self._lock:
            if self._seen is not None:
                self._out.write(_CLEAR)
                self._out.flush()

    def _write(self) -> None:
        seen = self._seen
        if seen is None:
            return
        text = f"{summary(seen.answer)}   {self._rate:.1f} fps, {seen.answer.milliseconds.invoke:.1f} ms"
        with self._lock:
            self._out.write(_CLEAR + cut(text, _columns(self._out) - 1))
            self._out.flush()


class _Above(io.TextIOBase):
    """Writes to a log whose terminal has a live line; several threads may."""

    def __init__(self, line: LiveLine, log: TextIO) -> None:
        self._line, self._log = line, log

    def write(self, text: str) -> int:
        if text.strip("\n"):  # `print` writes the end of its line by itself
            self._line.make_room()
        return self._log.write(text)

    def flush(self) -> None:
        self._log.flush()

    def isatty(self) -> bool:
        return True


def is_terminal(out: TextIO) -> bool:
    """Whether a line can be written over there: a terminal that knows how to clear one."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def _columns(out: TextIO) -> int:
    """Width of the terminal as it is now: people resize them."""
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def cut(text: str, columns: int) -> str:
    """As much of a text as fits into so many columns of a terminal.

    Chinese, Japanese and Korean characters and emoji take two columns (UAX #11, wide and fullwidth), accents that
    belong to the character before them none.
    """
    used, characters = 0, []
    for character in text:
        if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
            width = 0
        else:
            width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used + width > columns:
            break
        used += width
        characters.append(character)
    return "".join(characters)
