"""Feature vectors that were computed once: one SQLite file, crash-safe, shared by concurrent runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError
from runtime.file_kind import shown

# 400 keys a query stay under the 999 variables of the oldest SQLite in use.
_KEYS_PER_QUERY = 400
# Seconds to wait while another run writes.
_LOCK_TIMEOUT = 60.0


class FeatureCache:
    """Vectors by (space, content digest).

    A space is a hex digest over everything but the picture that decides the vector: preprocessing, weights and
    augmentation view. Content is the hex sha256 of the picture's file. A killed run leaves whole vectors only:
    SQLite writes each batch in one transaction.

    Args:
        path: of the file; made with its folders when missing. A damaged one is moved aside (``.damaged``), and
            the cache begins anew.
        notify: is told so in one line.

    Raises:
        DataError: the file cannot be made or opened.
    """

    def __init__(self, path: Path, notify: Callable[[str], None] = lambda _message: None) -> None:
        self.path = path
        self._notify = notify
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only, no space: the file is sound
                raise
            return self._begin_anew()

    def _begin_anew(self) -> sqlite3.Connection:
        aside = self.path.with_suffix(".damaged")
        with suppress(FileNotFoundError):  # another run was quicker
            self.path.replace(aside)
            self._notify(
                f"warning: the cache {shown(self.path)} is damaged; it is now {shown(aside.name)}, and what it held is "
                "computed again"
            )
        return _connect(self.path)

    def _failure(self, error: Exception) -> DataError:
        reason = error.strerror if isinstance(error, OSError) else error
        return DataError(
            f"cannot use the feature cache {shown(self.path)}: {reason}; name another folder with --cache-dir"
        )

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def get(self, space: str, contents: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are there, by content digest, float32 (features,)."""
        wanted = list(contents)
        try:
            return self._select(space, wanted)
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.Error:  # damage further inside than opening the file looks
            self._database.close()
            try:
                self._database = self._begin_anew()
            except (OSError, sqlite3.Error) as error:
                raise self._failure(error) from error
            return {}

    def _select(self, space: str, wanted: list[str]) -> dict[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            keys = [bytes.fromhex(content) for content in wanted[start : start + _KEYS_PER_QUERY]]
            marks = ",".join("?" * len(keys))
            query = f"SELECT content, vector FROM features WHERE space = ? AND content IN ({marks})"  # noqa: S608
            for content, vector in self._database.execute(query, [bytes.fromhex(space), *keys]):
                found[content.hex()] = np.frombuffer(vector, "<f4")
        return found

    def put(self, space: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Store vectors by content digest, all or none; what is there already stays."""
        rows = [
            (bytes.fromhex(space), bytes.fromhex(content), vector.astype("<f4").tobytes())
            for content, vector in vectors.items()
        ]
        try:
            with self._database:
                self._database.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._failure(error) from error


def _connect(path: Path) -> sqlite3.Connection:
    # Threads may take turns (SignatureCache holds a lock); sqlite3 itself would refuse all but the first.
    database = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, check_same_thread=False)
    try:
        with database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS features "
                "(space BLOB, content BLOB, vector BLOB NOT NULL, PRIMARY KEY (space, content)) WITHOUT ROWID"
            )
    except sqlite3.Error:
        database.close()
        raise
    return database
