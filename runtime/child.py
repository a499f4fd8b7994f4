"""Work that may crash or hang, or whose memory is to be measured: done in a Python process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from runtime import errors

#: What the work in the child reports on its way: the last report says where a crash happened.
Tell = Callable[[Any], None]
# The child starts without anything of its surroundings (-I): the current folder may hold a json.py of the user's. Then
# it looks for modules where this process does.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from runtime.child import serve; serve()"


class ChildDied(Exception):
    """The child gave no answer.

    Attributes:
        how: how it ended, for people: "crashed (SIGSEGV)".
        told: what the work had reported before.
        words: the last line of its standard error, or "".
    """

    def __init__(self, how: str, told: list[Any], words: str) -> None:
        super().__init__(how)
        self.how, self.told, self.words = how, told, words


def run_in_child(function: str, request: Mapping[str, Any], seconds: float) -> Any:
    """Call a function in a new Python process.

    Args:
        function: ``module:name``; it is called with the request and a ``Tell``.
        request: its argument, as JSON can hold it.
        seconds: after which the child is given up.

    Returns:
        What the function returned, as JSON holds it.

    Raises:
        EdgeExportError: one that the function raised.
        ChildDied: the process crashed, hung or failed otherwise.
    """
    path = json.dumps([os.path.abspath(entry) for entry in sys.path])  # noqa: PTH100 - entries need not exist
    utf8 = ["-X", "utf8"] if sys.flags.utf8_mode else []
    command = [sys.executable, "-I", *utf8, "-c", _START, path]
    content = json.dumps({"function": function, "request": dict(request)}).encode()
    try:
        done = subprocess.run(  # noqa: S603 - this very Python with a line of our own
            command, input=content, capture_output=True, timeout=seconds, check=False
        )
        out, err, how = done.stdout, done.stderr, _ending(done.returncode)
    except subprocess.TimeoutExpired as late:
        out, err, how = late.stdout or b"", late.stderr or b"", f"did not answer within {seconds:g} s"
    told: list[Any] = []
    for line in out.decode(errors="replace").splitlines():
        kind, value = _parse(line)
        if kind == "told":
            told.append(value)
        elif kind == "error":
            raise getattr(errors, value[0])(value[1])
        elif kind == "result" and not how:
            return value
    lines = [line.strip() for line in err.decode(errors="replace").split("\n")]
    # Interpreters tell there too what they are doing.
    words = next((line for line in reversed(lines) if line and not line.startswith("INFO:")), "")
    raise ChildDied(how or "ended without an answer", told, words[:300])


def _parse(line: str) -> tuple[str, Any]:
    """Kind and value of an answer; ("", None) where the child died in the middle of the line."""
    try:
        kind, value = json.loads(line)
    except ValueError:
        return "", None
    return kind, value


def _ending(code: int) -> str:
    """How a process ended; "" where it ended well."""
    if code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    if code > 255:  # Windows: https://learn.microsoft.com/windows/win32/debug/getexceptioncode
        return f"crashed ({code:#010x})"
    return f"failed with exit code {code}" if code else ""


def serve() -> None:
    """The child's side: read the request, do the work, write the answer, end at once."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # what libraries print has no place among the answers

    def say(kind: str, value: Any) -> None:
        answers.write(json.dumps([kind, value]) + "\n")

    order = json.load(sys.stdin)
    module, name = order["function"].split(":")
    try:
        result = getattr(import_module(module), name)(order["request"], lambda value: say("told", value))
    except errors.EdgeExportError as error:
        say("error", [type(error).__name__, str(error)])
    except MemoryError:
        say("error", ["DataError", "not enough memory for the model"])
    else:
        say("result", result)
    answers.flush()
    sys.stderr.flush()
    os._exit(0)  # without taking libraries down, which is another occasion to crash
