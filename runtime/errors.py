"""The error tree: every error a user can cause, with the exit code it ends the command with.

::

    EdgeExportError            exit 1   base of all below; its text is the one line the user sees
     ├─ UsageError             exit 2   the command was asked wrongly
     ├─ MissingPackageError    exit 1   an optional package is needed; the text says how to install it
     └─ DataError              exit 1   the command was right, what it was given is not
         ├─ ImageError                  a picture cannot be read or is refused
         ├─ ModelError                  a model file cannot be read, run or trusted
         └─ SourceError                 a camera or stream gives no frames
"""

from __future__ import annotations


def one_line(error: object) -> str:
    """The text of an error as one line that a terminal shows as it is; control characters come as escapes."""
    words = " ".join(str(error).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


class EdgeExportError(Exception):
    """Base class. ``str(error)`` says what was wrong, what was received and what to do."""

    exit_code = 1


class UsageError(EdgeExportError):
    """Wrong options or arguments."""

    exit_code = 2


class MissingPackageError(EdgeExportError):
    """An optional package is not installed."""


class DataError(EdgeExportError):
    """Input data that cannot be used."""


class ImageError(DataError):
    """A picture that cannot be read, or is refused."""


class ModelError(DataError):
    """A model file that cannot be read, run or trusted."""


class SourceError(DataError):
    """A camera, file or stream that gives no frames."""


def first_line(error: BaseException) -> str:
    """The first line of a foreign library's error, or its kind where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def counted(number: int, what: str) -> str:
    """So many of something, in words: ``1 score``, ``5 scores``."""
    return f"{number} {what}{'' if number == 1 else 's'}"
