"""The token that a visitor from outside must show."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from runtime.errors import DataError, UsageError
from runtime.file_kind import shown
from runtime.files import read_file

# 16 random bytes cannot be guessed: RFC 4086, 8.2.3 asks for 128 bits where an attacker may try for long.
_RANDOM_BYTES = 16
_SHORTEST, _LONGEST = 16, 256
_MOST_BYTES = 1_000_000


def new_token() -> str:
    """A token of letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def kept_token(path: Path) -> tuple[str, bool]:
    """The token of a file; a missing file is made, and only its owner can read it.

    Returns:
        The token, and whether it is new.

    Raises:
        UsageError: the file cannot be made, or holds no token.
        DataError: it cannot be read.
    """
    try:
        if not path.exists():
            token = new_token()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(token + "\n")
            return token, True
    except OSError as error:
        raise UsageError(f"--token-file {shown(path)}: cannot be made: {error.strerror or error}") from error
    text = read_file(path, _MOST_BYTES, DataError).decode("latin-1").strip()
    if not _SHORTEST <= len(text) <= _LONGEST or not all(c.isascii() and (c.isalnum() or c in "-_") for c in text):
        raise UsageError(
            f"--token-file {shown(path)}: must hold one word of {_SHORTEST} to {_LONGEST} letters, digits, - and _; "
            "remove the file, and a token is made"
        )
    return text, False
