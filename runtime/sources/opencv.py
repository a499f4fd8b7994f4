"""Frames of a camera, video file, image sequence or stream, through OpenCV."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MissingPackageError, SourceError
from runtime.file_kind import shown
from runtime.sources.frame import Frame, frame_of

# A stream that stays silent for this long is taken for dead.
_TIMEOUT_MS = 10_000
_NUMBER = re.compile(r"[0-9]{1,4}")
# A URL that ends in one of these is a file that has an end; any other URL is a stream that should have none.
_VIDEO_FILES = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm")


class OpenCVSource:
    """A ``FrameSource`` through OpenCV.

    Args:
        camera: number of a device, path of a video, ``frames/%05d.jpg``, or a URL.

    Raises:
        MissingPackageError: OpenCV is not installed.
        SourceError: the source cannot be opened.
    """

    def __init__(self, camera: str) -> None:
        self.name = camera
        self.live = bool(_NUMBER.fullmatch(camera)) or ("://" in camera and not camera.lower().endswith(_VIDEO_FILES))
        self._cv2 = _import_opencv()
        self._capture = _open(self._cv2, camera)
        self._count = 0
        if not self._capture.isOpened():
            raise SourceError(_cannot_open(camera))
        rate = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.frame_seconds = 1 / rate if 0.1 <= rate <= 1000 else None

    def grab(self) -> bool:
        """Wait for the next frame; see ``FrameSource``."""
        if self._capture.grab():
            self._count += 1
            return True
        if not self._count:
            raise SourceError(f"--camera {shown(self.name)}: opened, but gives no frames")
        if self.live:
            raise SourceError(
                f"--camera {shown(self.name)}: fell silent after {self._count} frames (unplugged, or the stream broke)"
            )
        return False

    def retrieve(self) -> Frame:
        """Decode the frame; see ``FrameSource``."""
        started = time.perf_counter()
        good, pixels = self._capture.retrieve()
        if not good or pixels is None or not pixels.size:
            raise SourceError(f"--camera {shown(self.name)}: frame {self._count - 1} cannot be decoded")
        pixels = self._three_channels(pixels)
        return frame_of(self.name, self._count - 1, pixels, (time.perf_counter() - started) * 1000, "BGR")

    def close(self) -> None:
        """Let the device go."""
        self._capture.release()

    def _three_channels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """OpenCV hands out blue first, or grey."""
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return pixels
        code = self._cv2.COLOR_BGRA2BGR if pixels.shape[2:] == (4,) else self._cv2.COLOR_GRAY2BGR
        colour: NDArray[np.uint8] = self._cv2.cvtColor(pixels, code)
        return colour


def _open(cv2: Any, camera: str) -> Any:
    # A device by number takes no timeouts; FFmpeg, which opens files and streams, does.
    if _NUMBER.fullmatch(camera):
        return cv2.VideoCapture(int(camera))
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
    capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, timeouts)
    return capture if capture.isOpened() else cv2.VideoCapture(camera)


def _import_opencv() -> Any:
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET of libavutil/log.h
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "--camera needs OpenCV, which is not installed: pip install 'edge-export-toolkit[camera]'"
        ) from error
    except ImportError as error:
        raise MissingPackageError(f"OpenCV is installed but does not load: {error}") from error
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what fails is said by our own errors
    return cv2


def _cannot_open(camera: str) -> str:
    if _NUMBER.fullmatch(camera):
        return (
            f"no camera {camera}: nothing can be opened as /dev/video{camera} (is it plugged in, is another program "
            "using it, are you in the group 'video'?)"
            if os.name == "posix"
            else f"no camera {camera} (is it plugged in, is another program using it?)"
        )
    if Path(camera).is_file():
        return f"--camera {shown(camera)}: not a video that OpenCV can read"
    return f"--camera {shown(camera)}: no such video file, or a stream that cannot be opened"
