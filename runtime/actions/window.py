"""A camera's frames with their answers, in a window."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress

import numpy as np

from runtime.actions.action import Seen
from runtime.actions.text import summary
from runtime.errors import MissingPackageError, UsageError, one_line

#: Before each frame: height, width and the bytes of its text, which follows, and after it the pixels.
HEADER = struct.Struct("<III")
#: What the other process says when its window is open.
READY = b"ready\n"
#: Exit codes of the other process: OpenCV is missing, or has no windows.
NO_OPENCV, NO_WINDOWS = 3, 4
_START_SECONDS = 30
# Columns of a frame that are shown at most, about: others are left out.
_WIDEST = 1280


class ShowWindow:
    """Shows the newest frame with its labels under it; ``q``, Escape or closing the window ends the command.

    The window belongs to a process of its own, which gets the newest frame when it has shown the one before: neither a
    slow display nor one that goes away touches the loop over frames.

    Raises:
        MissingPackageError: OpenCV is not installed, or was made without windows.
        UsageError: there is no display.
    """

    def __init__(self) -> None:
        unix = sys.platform not in ("win32", "darwin")
        if unix and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise UsageError("--window: there is no display here; runtime serve shows the same in a browser")
        self._process = _start()
        self._changed = threading.Condition()
        self._newest: Seen | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="window", daemon=True)
        self._thread.start()

    def handle(self, seen: Seen) -> None:
        """Have the frame shown.

        Raises:
            KeyboardInterrupt: the window is closed.
        """
        with self._changed:
            if self._ended:
                raise KeyboardInterrupt
            self._newest = seen
            self._changed.notify_all()

    def close(self) -> None:
        """Close the window."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._process.kill()
        self._process.wait()
        self._thread.join(0.3)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # half a frame was on its way
                if stream is not None:
                    stream.close()

    def _run(self) -> None:
        stream = self._process.stdin
        try:
            while stream is not None:
                with self._changed:
                    while self._newest is None and not self._ended and self._process.poll() is None:
                        self._changed.wait(0.2)
                    newest, self._newest = self._newest, None
                if newest is None:
                    break
                pixels = newest.frame.pixels()
                step = max(1, pixels.shape[1] // _WIDEST)
                pixels = np.ascontiguousarray(pixels[::step, ::step])
                text = summary(newest.answer).encode("utf-8", "replace")
                stream.write(HEADER.pack(*pixels.shape[:2], len(text)) + text)
                stream.write(pixels.data)
                stream.flush()
        except OSError:  # the window is closed
            pass
        finally:
            with self._changed:
                self._ended = True


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "runtime.actions.window_process"]
    # Of Qt's warnings, of fonts that it does not find say, none helps anybody here.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "QT_LOGGING_RULES": "*=false"}
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody reads would stop the process when it is full
        process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us
        )
        ready = False
        try:
            ready = _says_ready(process)
        finally:
            if not ready:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)  # it has something to say by its exit code
                process.kill()
                process.communicate()
        if ready:
            return process
        errors.seek(0)
        said = errors.read(10_000).decode("utf-8", "replace")
    if process.returncode == NO_OPENCV:
        raise MissingPackageError(
            "--window needs OpenCV, which is not installed: pip install 'edge-export-toolkit[camera]'"
        )
    if process.returncode == NO_WINDOWS:
        raise MissingPackageError(
            "--window: this OpenCV was made without windows (opencv-python-headless); install opencv-python instead"
        )
    # Qt goes on at length: its first sentence says that there is no display that it can use.
    why = one_line(next((line for line in said.splitlines() if line.strip()), "it does not answer")).partition(". ")[0]
    display = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY", "")
    raise UsageError(
        f"--window: no window can be opened on the display {display} ({why}); runtime serve shows the same in a browser"
    )


def _says_ready(process: subprocess.Popen[bytes]) -> bool:
    stream = process.stdout
    if stream is None:
        return False
    if sys.platform != "win32" and not select.select([stream], [], [], _START_SECONDS)[0]:
        return False
    return stream.readline() == READY
