"""Files and folders that are whole or absent, whenever the process is killed."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from runtime.errors import DataError
from runtime.file_kind import shown


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary neighbour, so that nobody ever sees half of it.

    Raises:
        DataError: the folder cannot be made or written (permissions, full disk).
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}")
        with temporary.open("xb") as file:  # readable to whom any new file of the user is, unlike tempfile's
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise DataError(f"cannot write {shown(path)}: {error.strerror or error}") from error
