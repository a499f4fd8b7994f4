"""A camera's frames with their answers, in a window."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.actions.action import Seen
from runtime.actions.text import summary
from runtime.errors import DataError, MissingPackageError, UsageError, first_line, one_line

_NAME = "runtime classify"
# Milliseconds in which the window's own events are seen to, between two frames.
_EVENTS_MS = 30
_KEYS = (ord("q"), ord("Q"), 27)  # 27: Escape
# A window is tried in a process of its own: Qt ends the process when it finds no display.
_TRIAL = "import cv2; cv2.namedWindow('trial'); cv2.waitKey(1); cv2.destroyAllWindows()"
_TRIAL_SECONDS = 30
# The first of these that is there writes labels; each has the scripts that the one after it lacks. Pillow's own font,
# the last resort, has Latin letters.
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf")


class ShowWindow:
    """Shows the newest frame, its labels under it; ``q``, Escape or closing the window ends the command.

    Everything that touches the window is done by one thread, which takes the newest frame when it is ready for one:
    a slow display does not slow the camera.

    Raises:
        MissingPackageError: OpenCV is not installed, or was made without windows.
        UsageError: there is no display.
    """

    def __init__(self) -> None:
        _check_display()
        self._cv2 = _import_opencv()
        self._changed = threading.Condition()
        self._seen: Seen | None = None
        self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="window", daemon=True)
        self._thread.start()

    def handle(self, seen: Seen) -> None:
        """Have the frame shown.

        Raises:
            KeyboardInterrupt: the user has closed the window.
            DataError: it cannot be shown any more.
        """
        with self._changed:
            if self._failure is not None:
                raise DataError(f"--window: {one_line(first_line(self._failure))}") from self._failure
            if self._ended:
                raise KeyboardInterrupt
            self._seen = seen
            self._changed.notify_all()

    def close(self) -> None:
        """Close the window."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(0.3)

    def _run(self) -> None:
        try:
            self._cv2.namedWindow(_NAME, self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO)
            shown: Seen | None = None
            while not self._ended:
                with self._changed:
                    if self._seen is shown:
                        self._changed.wait(_EVENTS_MS / 1000)
                    newest = self._seen
                if newest is not None and newest is not shown:
                    self._show(newest, first=shown is None)
                    shown = newest
                key = self._cv2.waitKey(1) & 0xFF
                gone = shown is not None and self._cv2.getWindowProperty(_NAME, self._cv2.WND_PROP_VISIBLE) < 1
                if key in _KEYS or gone:
                    break
            self._cv2.destroyAllWindows()
            self._cv2.waitKey(1)
        except Exception as error:  # OpenCV's and Qt's own; told to the thread that brings frames
            self._failure = error
        finally:
            self._ended = True

    def _show(self, seen: Seen, *, first: bool) -> None:
        text = summary(seen.answer)
        picture = captioned(seen.frame.pixels(), text)
        if first:
            self._cv2.resizeWindow(_NAME, picture.shape[1], picture.shape[0])
        self._cv2.imshow(_NAME, picture[:, :, ::-1])
        self._cv2.setWindowTitle(_NAME, text)


def captioned(pixels: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """The picture with a line of text on a dark strip under it.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        text: one line.

    Returns:
        uint8 (height and a strip, width, 3), RGB.
    """
    from PIL import Image, ImageDraw

    width = pixels.shape[1]
    size = max(14, width // 28)
    strip = Image.new("RGB", (width, 2 * size), (24, 24, 24))
    ImageDraw.Draw(strip).text((size // 2, size), text, fill=(240, 240, 240), font=_font(size), anchor="lm")
    return np.concatenate([pixels, np.asarray(strip)])


def _font(size: int) -> Any:
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _check_display() -> None:
    unix = sys.platform not in ("win32", "darwin")
    if unix and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise UsageError("--window: there is no display here; runtime serve shows the same in a browser")


def _import_opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "--window needs OpenCV, which is not installed: pip install 'edge-export-toolkit[camera]'"
        ) from error
    try:
        trial = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError("--window: the display does not answer; runtime serve shows the same in a browser") from None
    if b"function is not implemented" in trial.stderr:
        raise MissingPackageError(
            "--window: this OpenCV was made without windows (opencv-python-headless); install opencv-python instead"
        )
    if trial.returncode:
        lines = trial.stderr.decode("utf-8", "replace").split("\n")
        said = one_line(next((line for line in lines if line.strip()), "no reason was given"))
        raise UsageError(f"--window: no window can be opened: {said}")
    return cv2
