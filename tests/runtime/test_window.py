"""The window on a display of its own (Xvfb), whose pixels are looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.actions.window import ShowWindow
from runtime.actions.window_process import captioned
from runtime.cli import main
from runtime.errors import UsageError
from tests.runtime.seen import eventually, seen


@pytest.fixture
def display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A display; gives the file that holds what is on it."""
    pytest.importorskip("cv2")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: apt install xvfb)")
    reading, writing = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        "640x480x24",
        "-fbdir",
        str(tmp_path),
        "-nolisten",
        "tcp",
    ]
    with subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start here")
        monkeypatch.setenv("DISPLAY", f":{number}")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield tmp_path / "Xvfb_screen0"
        process.terminate()


def shows(display: Path, colour: tuple[int, int, int]) -> int:
    """Pixels of one colour, RGB, on the display: the file has them as blue, green, red and nothing."""
    content = np.frombuffer(display.read_bytes()[-640 * 480 * 4 :], np.uint8).reshape(-1, 4)
    return int((content[:, :3] == colour[::-1]).all(axis=1).sum())


def opened(display: Path, red: np.ndarray[Any, Any]) -> ShowWindow:
    """A window that shows a red frame.

    Several may be needed: on a display without a window manager Qt leaves one in four black, of the plainest program
    that opens a window with OpenCV too.
    """
    for _ in range(12):
        window = ShowWindow()
        window.handle(seen("向日葵", picture=red))
        if eventually(lambda: shows(display, (201, 2, 3)) > 20_000, seconds=4):
            return window
        window.close()
    raise AssertionError("no window shows anything")


def test_frames_are_shown_and_a_closed_window_ends_the_loop(display: Path) -> None:
    red, blue = np.full((200, 300, 3), (201, 2, 3), np.uint8), np.full((200, 300, 3), (4, 5, 206), np.uint8)
    window = opened(display, red)
    with closing(window):
        window.handle(seen("cat", picture=blue))
        assert eventually(lambda: shows(display, (4, 5, 206)) > 20_000, seconds=30)
        window._process.terminate()  # what closing the window comes to

        def refused() -> bool:
            try:
                window.handle(seen("cat", picture=red))
            except KeyboardInterrupt:
                return True
            return False

        assert eventually(refused, seconds=30)
    assert window._process.returncode is not None


def test_the_command(display: Path, clip: Path, colours: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--camera", str(clip), "--model", str(colours), "--realtime", "--window"]) == 0
    said = capfd.readouterr()
    assert len(said.out.splitlines()) == 3
    assert said.err.count("\n") == 1
    assert "12 frames looked at" in said.err


def test_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", "")
    with pytest.raises(UsageError, match="--window: there is no display here; runtime serve shows"):
        ShowWindow()
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(UsageError, match="--window: no window can be opened on the display :987 "):
        ShowWindow()


def test_the_caption_stands_under_the_picture() -> None:
    pixels = np.full((100, 400, 3), 77, np.uint8)
    made = captioned(pixels, "daisy 98.3%, 向日葵 \ud800")
    assert made.shape == (128, 400, 3)
    assert (made[:100] == 77).all()
    assert (made[100:].max(axis=2) > 200).any()  # letters
