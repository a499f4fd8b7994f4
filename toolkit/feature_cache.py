"""Feature vectors that were computed once: one SQLite file, crash-safe, shared by concurrent runs."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
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
    SQLite writes each batch in one transaction. A vector that is no longer what was stored is as good as missing: each
    has a checksum, for SQLite has none.

    Args:
        path: of the file; made with its folders when missing. A damaged one is moved aside (``.damaged``), and
            the cache begins anew.
        notify: is told so in one line, and where vectors are damaged.

    Raises:
        DataError: the file cannot be made or opened.
    """

    def __init__(self, path: Path, notify: Callable[[str], None] = lambda _message: None) -> None:
        self.path = path
        self._notify = notify
        self._told = False
        self._number: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._open()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def _open(self) -> sqlite3.Connection:
        self._number = _file_number(self.path)
        try:
            database = _connect(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # locked, read-only, no space: the file is sound
                raise
            return self._begin_anew()
        self._number = _file_number(self.path)
        return database

    def _begin_anew(self) -> sqlite3.Connection:
        aside = self.path.with_suffix(".damaged")
        # Another run may have been quicker: then a new, sound file is there.
        if self._number == _file_number(self.path):
            with suppress(FileNotFoundError):
                self.path.replace(aside)
                self._notify(
                    f"warning: the cache {shown(self.path)} is damaged; it is now {shown(aside.name)}, and what it "
                    "held is computed again"
                )
        database = _connect(self.path)
        self._number = _file_number(self.path)
        return database

    def _replace_database(self) -> None:
        """Begin anew after damage further inside than opening the file looks."""
        self._database.close()
        try:
            self._database = self._begin_anew()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

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
        """The vectors that are there and whole, by content digest, float32 (features,)."""
        wanted = list(contents)
        try:
            with _damage_by_name():
                return self._select(space, wanted)
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.Error:
            self._replace_database()
            return {}

    def _select(self, space: str, wanted: list[str]) -> dict[str, NDArray[np.float32]]:
        found: dict[str, NDArray[np.float32]] = {}
        key = bytes.fromhex(space)
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            keys = [bytes.fromhex(content) for content in wanted[start : start + _KEYS_PER_QUERY]]
            marks = ",".join("?" * len(keys))
            query = f"SELECT content, vector, crc FROM vectors WHERE space = ? AND content IN ({marks})"  # noqa: S608
            damaged = []
            for content, vector, crc in self._database.execute(query, [key, *keys]):
                if isinstance(vector, bytes) and _checksum(key, content, vector) == crc:
                    found[content.hex()] = np.frombuffer(vector, "<f4")
                else:
                    damaged.append((key, content))
            self._forget(damaged)
        return found

    def _forget(self, damaged: list[tuple[bytes, bytes]]) -> None:
        if not damaged:
            return
        if not self._told:
            self._notify(f"warning: the cache {shown(self.path)} is damaged in places; what was there is computed anew")
            self._told = True
        with self._database:
            self._database.executemany("DELETE FROM vectors WHERE space = ? AND content = ?", damaged)

    def put(self, space: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Store vectors by content digest, all or none; what is there already stays."""
        key = bytes.fromhex(space)
        rows = []
        for content, vector in vectors.items():
            name, data = bytes.fromhex(content), vector.astype("<f4").tobytes()
            rows.append((key, name, data, _checksum(key, name, data)))
        try:
            self._insert(rows)
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.Error:
            self._replace_database()
            try:
                self._insert(rows)
            except sqlite3.Error as error:
                raise self._failure(error) from error

    def _insert(self, rows: list[tuple[bytes, bytes, bytes, int]]) -> None:
        with _damage_by_name(), self._database:
            self._database.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?, ?)", rows)


def _checksum(space: bytes, content: bytes, vector: bytes) -> int:
    return zlib.crc32(space + content + vector)


def _file_number(path: Path) -> int | None:
    """What tells a file from another one of the same name; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


@contextmanager
def _damage_by_name() -> Iterator[None]:
    """Call damage an error of the database where Python fails to decode what SQLite says of it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("database disk image is malformed") from error


def _connect(path: Path) -> sqlite3.Connection:
    # Threads may take turns (SignatureCache holds a lock); sqlite3 itself would refuse all but the first.
    database = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, check_same_thread=False)
    try:
        with _damage_by_name(), database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors "
                "(space BLOB, content BLOB, vector BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (space, content)) "
                "WITHOUT ROWID"
            )
    except sqlite3.Error:
        database.close()
        raise
    return database
