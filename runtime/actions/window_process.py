"""``python -m runtime.actions.window_process``: shows frames that come on standard input in a window.

A process of its own, because windows belong to a program's main thread, and because Qt ends the whole process when the
display goes away.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from runtime.actions.window import HEADER, NO_OPENCV, NO_WINDOWS, READY

_NAME = "runtime classify"
# Milliseconds in which the window's own events are seen to, between two frames.
_EVENTS_MS = 15
_KEYS = (ord("q"), ord("Q"), 27)  # 27: Escape
# The first of these that is there writes labels. Pillow's own font, the last resort, has Latin letters only.
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf")


class _Newest:
    """The newest frame that came, with its text; ``ended`` when no more come."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._lock = stream, threading.Lock()
        self._frame: tuple[NDArray[np.uint8], str] | None = None
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def take(self) -> tuple[NDArray[np.uint8], str] | None:
        with self._lock:
            frame, self._frame = self._frame, None
        return frame

    def _read(self) -> None:
        while len(head := self._stream.read(HEADER.size)) == HEADER.size:
            height, width, length = HEADER.unpack(head)
            text = self._stream.read(length).decode("utf-8", "replace")
            data = self._stream.read(height * width * 3)
            if len(data) < height * width * 3:
                break
            with self._lock:
                self._frame = np.frombuffer(data, np.uint8).reshape(height, width, 3), text
        self.ended = True


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


def _show(cv2: Any, frames: _Newest) -> None:
    """Until the window is closed, or no more frames come."""
    begun = False
    while not frames.ended:
        frame = frames.take()
        if frame is not None:
            picture = captioned(*frame)
            cv2.imshow(_NAME, picture[:, :, ::-1])
            if not begun:
                cv2.resizeWindow(_NAME, picture.shape[1], picture.shape[0])
            begun = True
        if cv2.waitKey(_EVENTS_MS) & 0xFF in _KEYS:
            return
        if begun and cv2.getWindowProperty(_NAME, cv2.WND_PROP_VISIBLE) < 1:
            return


def main() -> int:
    """Run; returns the exit code."""
    try:
        import cv2
    except ImportError:
        return NO_OPENCV
    try:
        cv2.namedWindow(_NAME, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.waitKey(1)
    except cv2.error:  # "The function is not implemented. Rebuild the library with Windows, GTK+ 2.x or Cocoa support."
        return NO_WINDOWS
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    _show(cv2, _Newest(sys.stdin.buffer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
