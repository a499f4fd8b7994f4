"""Lines that are said while a progress bar is shown."""

from __future__ import annotations

import gc
import io
import sys

import pytest
import tqdm as tqdm_package

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


def test_a_bar_that_a_signal_leaves_half_made_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object) -> int:
        raise KeyboardInterrupt

    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    monkeypatch.setattr(tqdm_package.tqdm, "_get_free_pos", interrupted)
    with pytest.raises(KeyboardInterrupt), progress_bar("Working", 3):
        pass
    gc.collect()
    assert dropped == []
