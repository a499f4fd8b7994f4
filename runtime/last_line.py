"""The last line of a process that a signal ends."""

from __future__ import annotations

import sys


def say_last(line: str) -> None:
    """Write it to standard error; on a terminal under the line that is there, ``^C`` or a progress, say."""
    sys.stderr.write(f"\n{line}\n" if sys.stderr.isatty() else f"{line}\n")
