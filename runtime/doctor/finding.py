"""What a check finds."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: ``note``: worth knowing, and nothing is broken.
Status = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: was looked at, one or two words.
        status: how it is.
        text: what was found, one line.
        mend: commands or steps that mend it, in order.
    """

    what: str
    status: Status
    text: str
    mend: tuple[str, ...] = ()


@dataclass(frozen=True)
class Device:
    """Where a check looks: the running system, or a stand-in for it in a test.

    Attributes:
        root: of the file system.
        path: of programs, as ``$PATH``; None for the system's.
    """

    root: Path = field(default_factory=lambda: Path("/"))
    path: str | None = None

    def read(self, name: str) -> str | None:
        """A system file's text without its end (``/proc/...``, ``/sys/...``), or None where it is not there."""
        try:
            return (self.root / name.lstrip("/")).read_text("utf-8", "replace").rstrip("\0\n ")
        except OSError:
            return None

    @property
    def board(self) -> str | None:
        """The board's name, on those that have a device tree."""
        return self.read("/proc/device-tree/model") or None

    def glob(self, pattern: str) -> list[Path]:
        """Paths under the root, in order."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def run(self, command: Sequence[str], seconds: float = 20) -> str | None:
        """What a program says on standard output; None where it is missing, fails or takes too long."""
        program = shutil.which(command[0], path=self.path)
        if program is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 - names of our own, no words of the user
                [program, *command[1:]],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"LC_ALL": "C"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None
