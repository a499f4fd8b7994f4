"""Values as C++ source text; nothing that stands in a label or name can end a literal, a comment or a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from runtime.errors import ModelError

# Bytes of the model on a line of source text, and those that are written in one go.
_ON_A_LINE = 16
_IN_A_PIECE = 1 << 20
# What stands for each byte: `0x00,` to `0xff,`, 5 characters.
_BYTE_TEXTS = np.frombuffer(b"".join(b"0x%02x," % value for value in range(256)), np.uint8).reshape(256, 5)
# Plain in a C literal. Not the question mark: two of them begin a trigraph before C++17.
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?')
# Characters of an identifier; compilers may tell apart no more than 63 of them (C11, 5.2.4.1).
_LONGEST = 40


def identifier(name: str, ending: str) -> str:
    """A lower-case C++ identifier that is no keyword and not reserved, and a file name everywhere.

    Args:
        name: any text; what is not ASCII is left out.
        ending: letters, which follow the name and an underscore.
    """
    words = re.findall("[a-z0-9]+", name.lower())
    start = "_".join(words)[:_LONGEST].strip("_")
    if not start[:1].isalpha():
        start = f"model_{start}".strip("_")
    return f"{start}_{ending}"


def string_literal(text: str) -> str:
    r"""The text as UTF-8, for a terminal or a display; a NUL, which would cut it short, is written ``\x00``.

    Raises:
        ModelError: a text that is no Unicode and did not come from a file's name either.
    """
    try:
        # A folder's name in another encoding comes as lone surrogates, and goes as the bytes it was.
        octets = text.replace("\0", "\\x00").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ModelError(f"the name {text!r} is no Unicode text: {error}") from error
    # Octal escapes end after three digits, whatever follows; hexadecimal ones do not.
    return '"' + "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03o}" for octet in octets) + '"'


def float_literal(value: float) -> str:
    """The float32 nearest to a finite number, exactly."""
    text = str(np.float32(value))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def float_list(values: Iterable[float]) -> str:
    """Numbers in braces."""
    return "{" + ", ".join(map(float_literal, values)) + "}"


def byte_lines(data: bytes) -> Iterator[bytes]:
    """The elements of an array, 16 a line, in pieces: they take five times the memory of the data."""
    for start in range(0, len(data), _IN_A_PIECE):
        octets = np.frombuffer(data[start : start + _IN_A_PIECE], np.uint8)
        whole = len(octets) // _ON_A_LINE * _ON_A_LINE
        lines = np.full((whole // _ON_A_LINE, _ON_A_LINE * 5 + 1), ord("\n"), np.uint8)
        lines[:, :-1] = _BYTE_TEXTS[octets[:whole]].reshape(len(lines), -1)
        rest = _BYTE_TEXTS[octets[whole:]].tobytes()
        yield lines.tobytes() + (rest + b"\n" if rest else b"")
