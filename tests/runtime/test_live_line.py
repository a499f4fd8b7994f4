"""The live line on a real terminal of the system, and what stands on its screen."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.actions.terminal import LiveLine, cut, is_terminal
from tests.conftest import ROOT
from tests.runtime.seen import Log, Terminal, seen


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("daisy", 5, "daisy"),
        ("daisy", 4, "dais"),
        ("向日葵 98%", 5, "向日"),  # the third would be half visible
        ("向日葵 98%", 6, "向日葵"),
        ("e\u0301e\u0301e", 2, "e\u0301e\u0301"),  # accents take no column
        ("🌻🌻", 3, "🌻"),
        ("daisy", 0, ""),
        ("daisy", -1, ""),
    ],
)
def test_text_is_cut_by_columns(text: str, columns: int, expected: str) -> None:
    assert cut(text, columns) == expected


def screen(written: str) -> list[str]:
    """The lines of a terminal to which this was written; of all control sequences it knows the one that clears."""
    lines, column = [""], 0
    for part in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", written):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + len(part) :]
            column += len(part)
    return lines


def test_the_newest_answer_stays_and_the_cursor_stands_under_it() -> None:
    out = Terminal()
    line = LiveLine(out)
    line.handle(seen("向日葵"))
    line.handle(seen("dog", changed=False))  # too soon to be written
    assert "dog" not in out.getvalue()
    line.close()
    first, last = screen(out.getvalue())
    assert first.startswith("dog 75.0%   ")
    assert last == ""


def test_without_an_answer_nothing_is_written() -> None:
    out = Terminal()
    LiveLine(out).close()
    assert out.getvalue() == ""


def test_a_log_on_the_same_terminal_makes_itself_room() -> None:
    out = Terminal()
    line = LiveLine(out)
    log = line.above(out)
    print("before the first answer", file=log)
    line.handle(seen("cat"))
    print("camera 0: unplugged", file=log)
    line.handle(seen("dog"))
    line.close()
    assert [text.partition("   ")[0] for text in screen(out.getvalue())] == [
        "before the first answer",
        "camera 0: unplugged",
        "dog 75.0%",
        "",
    ]


def test_a_log_elsewhere_is_left_alone() -> None:
    log = Log()
    assert LiveLine(Terminal()).above(log) is log


def test_a_terminal_that_cannot_clear_lines_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert is_terminal(Terminal())
    assert not is_terminal(Log())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal(Terminal())


def run_on_terminal(columns: int, *arguments: str) -> str:
    """What a command writes to a terminal of this width, standard error among it."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "runtime.cli", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # Linux says EIO when the other side is closed
        pass
    os.close(ours)
    assert process.wait(20) == 0
    return written.decode().replace("\r\n", "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_the_command_on_a_narrow_terminal(clip: Path, save_model: Callable[..., Path]) -> None:
    from tests.runtime.conftest import spec_of
    from tests.runtime.tiny_models import mean_colour_model

    model = save_model(mean_colour_model(then="SOFTMAX"), spec_of("向日葵" * 20, "b", "c"))
    written = run_on_terminal(20, "classify", "--camera", str(clip), "--model", str(model))
    assert written.endswith("\n")
    lines = re.split(r"[\r\n]", re.sub(r"\x1b\[K", "", written))
    assert "向日葵" * 3 in lines  # 18 of 19 columns: another character would begin a new line
    assert any(line.startswith("c ") for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_a_terminal_that_is_resized() -> None:
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as out:
        line = LiveLine(out)
        for columns in (10, 30, 6):
            fcntl.ioctl(out.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            line.handle(seen("dog" * 20, names=("cat", "dog" * 20)))
        line.close()
        written = ""
        while not written.endswith("\n"):
            written += os.read(ours, 65536).decode()
    os.close(ours)
    shown = [len(text) for text in written.replace("\r\n", "").split("\r\x1b[K")[1:]]
    assert shown[:3] == [9, 29, 5]
