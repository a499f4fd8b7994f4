"""Copies of model files that nobody else writes to.

The interpreter maps its file and keeps what it mapped, also when the file's name is gone. Were it the user's own file,
writing another over it (``cp`` does) would end the process with SIGBUS.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.files import file_stamp

_PREFIX = "edge-export-model-"
# Seconds: a copy is needed while a model is tried and loaded. One that is older was left by a process that was killed.
_FORGOTTEN = 3600.0


class PrivateCopies:
    """Makes copies, and sees that none is left behind; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: set[str] = set()
        self._ended = False

    @contextmanager
    def of(self, path: Path) -> Iterator[Path]:
        """A copy under the same name; gone behind the block.

        Raises:
            ModelError: the file cannot be read, is written to at this moment, or the copy cannot be written.
        """
        _remove_forgotten()
        folder = ""
        try:
            with self._lock:
                if self._ended:
                    raise ModelError(f"{shown(path)}: is not loaded any more: the command ends")
                before = file_stamp(path)
                try:
                    folder = tempfile.mkdtemp(prefix=_PREFIX)
                    self._folders.add(folder)
                    copy = Path(shutil.copy(path, folder))
                except OSError as error:
                    raise ModelError(
                        f"{shown(path)}: cannot be copied for loading: {error.strerror or error}"
                    ) from error
            if file_stamp(path) != before:
                raise ModelError(f"{shown(path)}: is being written to; put whole files in its place (mv, not cp)")
            yield copy
        finally:
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
                self._folders.discard(folder)

    def end(self) -> None:
        """Remove those that another thread has in use, for the process ends; no more are made."""
        with self._lock:
            self._ended = True
            for folder in tuple(self._folders):  # another thread may be done with its own just now
                shutil.rmtree(folder, ignore_errors=True)


def _remove_forgotten() -> None:
    """What processes of ours that were killed have left."""
    own = os.getuid() if hasattr(os, "getuid") else 0
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            with suppress(OSError):
                status = folder.lstat()
                if status.st_uid == own and time.time() - status.st_mtime > _FORGOTTEN and not folder.is_symlink():
                    shutil.rmtree(folder, ignore_errors=True)
