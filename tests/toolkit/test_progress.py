"""Lines that are said while a progress bar is shown."""

from __future__ import annotations

import io
import sys

import pytest

from toolkit.progress import progress_bar, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def speak() -> None:
    say("before")
    with progress_bar("Working", 3) as bar:
        bar.update()
        say("first")
        say("second")
        bar.update(2)
        say("third")
    say("after")


def test_in_a_file_each_line_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    speak()
    lines = [line.split("\r")[-1] for line in capsys.readouterr().err.splitlines() if line]
    assert [line for line in lines if "Working" not in line] == ["before", "first", "second", "third", "after"]
    assert lines[-2].startswith("Working: 100%")


def test_on_a_terminal_the_bar_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    speak()
    drawn = stream.getvalue().split("\n")
    for line in ("first", "second", "third"):
        (full,) = [found for found in drawn if found.endswith(line)]
        assert full.endswith(f"\r{line}"), "the bar is wiped, not written behind"
        assert full.split("\r")[-2].strip() == ""
    assert drawn[-3].split("\r")[-1].startswith("Working: 100%")
