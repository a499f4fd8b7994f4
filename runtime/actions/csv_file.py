"""Answers as rows of a CSV file that grows."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from runtime.actions.action import Seen
from runtime.errors import DataError, UsageError
from runtime.file_kind import shown
from runtime.results import utc_time
from runtime.said import Said

COLUMNS = (
    "time",
    "source",
    "frame",
    "labels",
    "best",
    "score",
    "decode_ms",
    "preprocess_ms",
    "invoke_ms",
    "postprocess_ms",
)
# Cells that begin with one of these are formulas to spreadsheets, and may start programs: OWASP, "CSV Injection".
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# A byte order mark, which spreadsheets write before UTF-8.
_MARK = b"\xef\xbb\xbf"


class CsvFile:
    """Appends one row for each answer; the header stands once, at the beginning of the file.

    Rows are written at once and whole, in UTF-8. Where the file ends in half a row, after a power cut say, the next
    one begins on a line of its own.

    Args:
        path: the file; it may be there already.
        said: told when the disk is full; None turns that into an error.

    Raises:
        UsageError: it cannot be written, or holds something else.
    """

    def __init__(self, path: Path, said: Said | None = None) -> None:
        self._path, self._said = path, said
        try:
            if path.exists() and not path.is_file() and not path.is_char_device():
                raise UsageError(f"--csv {shown(path)}: is not a regular file; name a .csv file")
            # Unbuffered: a row is on its way to the disk when `handle` returns.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._unusable(error) from error
        self._torn = False
        try:
            self._begin()
        except BaseException:
            self._file.close()
            raise

    def handle(self, seen: Seen) -> None:
        """Append the answer.

        Raises:
            DataError: it cannot be written, and there is nobody who could be told.
        """
        best = seen.answer.predictions[:1]
        stages = seen.answer.milliseconds
        cells = (
            utc_time(seen.frame.time),
            _plain(seen.frame.source),
            str(seen.frame.number),
            _plain(";".join(seen.answer.labels)),
            _plain(best[0].label) if best else "",
            f"{best[0].score:.6f}" if best else "",
            *(f"{value:.3f}" for value in (stages.decode, stages.preprocess, stages.invoke, stages.postprocess)),
        )
        self._append(_row(cells))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def _begin(self) -> None:
        """Look at what is there already; write the header where nothing is."""
        try:
            first, last = _both_ends(self._path)
        except OSError as error:
            raise self._unusable(error) from error
        header = _row(COLUMNS)
        first = first.removeprefix(_MARK).strip()
        if first and first != header.strip():
            raise UsageError(
                f"--csv {shown(self._path)}: has other columns than {','.join(COLUMNS)}; name another file"
            )
        self._torn = last not in (b"", b"\n")
        if not first:
            self._torn = False  # a byte order mark alone, if anything
            self._append(header)

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(f"--csv {shown(self._path)}: cannot be written: {error.strerror or error}")

    def _append(self, row: bytes) -> None:
        data = b"\n" + row if self._torn else row
        try:
            written = self._file.write(data)
            if written < len(data):
                self._torn = self._torn or written > 0
                raise OSError("only a part of a row could be written; is the disk full?")
        except OSError as error:
            problem = f"{shown(self._path)}: {error.strerror or error}"
            if self._said is None:
                raise DataError(f"--csv {problem}") from error
            self._said.say(f"{problem}; rows are left out")
            return
        self._torn = False
        if self._said is not None:
            self._said.forget()


def _both_ends(path: Path) -> tuple[bytes, bytes]:
    """The first line of a file, and its last byte."""
    if not path.is_file():
        return b"", b""
    with path.open("rb") as file:
        first = file.readline(4096)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return first, file.read(1)


def _plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula: such cells get an apostrophe in front."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(cells: tuple[str, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # ends in \r\n, and puts cells with either of them in quotes
    # Names of files that are no Unicode come with escapes.
    return line.getvalue()[:-2].encode("utf-8", "backslashreplace") + b"\n"
