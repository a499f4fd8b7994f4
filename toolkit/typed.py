"""Paths in the command lines that the toolkit tells its users to type next."""

from __future__ import annotations

import shlex
from pathlib import Path


def typed(path: Path | str) -> str:
    """A path as a shell takes it, and as no command takes for an option: ``-x`` becomes ``./-x``."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
