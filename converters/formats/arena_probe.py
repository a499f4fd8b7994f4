"""``python -m converters.formats.arena_probe MODEL``: runs it once and prints what arena tflite-micro needs.

In a process of its own: the interpreter ends the process on models that it does not like, and tells what it
allocated by printing it from C++.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from runtime.versions import package_version

#: Exit code where there is no tflite-micro.
NOT_INSTALLED = 3
# Where the search for a sufficient arena begins and ends, bytes: the largest of our models needs 10 MB.
_LEAST, _MOST = 1 << 20, 1 << 30
_TOTAL = re.compile(rb"Arena allocation total (\d+) bytes")


def main() -> int:
    """Run with the path of ``sys.argv``; returns the exit code."""
    try:
        micro = importlib.import_module("tflite_micro").runtime
    except ImportError:
        return NOT_INSTALLED
    content = Path(sys.argv[1]).read_bytes()
    interpreter = loaded(micro, content)
    if interpreter is None:
        return 1
    found = _TOTAL.search(_printed(interpreter))
    if found is None:
        sys.stderr.write("it does not print its allocations as it used to\n")
        return 1
    least = int(found[1])
    _run(micro.Interpreter.from_bytes(content, arena_size=least))  # RuntimeError where that is not enough
    sys.stdout.write(f"{least} {package_version('tflite-micro')}\n")
    return 0


def loaded(micro: Any, content: bytes) -> Any | None:
    """An interpreter with an arena that is large enough; None where none is.

    Args:
        micro: ``tflite_micro.runtime``.
        content: of a ``.tflite`` file.
    """
    size = _LEAST
    while size <= _MOST:
        try:
            return micro.Interpreter.from_bytes(content, arena_size=size)
        except RuntimeError:  # too small, or a model it does not take; it has printed which
            size *= 4
    return None


def _run(interpreter: Any) -> None:
    """One forward pass: some kernels find out late what they cannot do."""
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.zeros(details["shape"], details["dtype"]), 0)
    interpreter.invoke()


def _printed(interpreter: Any) -> bytes:
    """What the interpreter writes to the process's standard error when asked for its allocations."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read()


if __name__ == "__main__":
    raise SystemExit(main())
