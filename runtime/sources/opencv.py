"""Frames of a camera, video file, image sequence or stream, through OpenCV."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MissingPackageError, SourceError
from runtime.file_kind import shown

# A stream that stays silent for this long is taken for dead.
_TIMEOUT_MS = 10_000
_NUMBER = re.compile(r"[0-9]{1,4}")
# A URL that ends in one of these is a file that has an end; any other URL is a stream that should have none.
_VIDEO_FILES = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm")


class Frame(NamedTuple):
    """A frame, uint8 (height, width, 3), RGB, and the milliseconds its decoding took."""

    pixels: NDArray[np.uint8]
    decode_ms: float


def camera_frames(camera: str) -> Iterator[Frame]:
    """Frames until a file ends.

    Args:
        camera: number of a device, path of a video, ``frames/%05d.jpg``, or a URL.

    Raises:
        MissingPackageError: OpenCV is not installed.
        SourceError: the source cannot be opened, gives no frame at all, or is a camera or stream that falls silent.
    """
    cv2 = _import_opencv()
    capture = _open(cv2, camera)
    try:
        if not capture.isOpened():
            raise SourceError(_cannot_open(camera))
        count = 0
        while capture.grab():  # waits for the camera; what follows is work
            started = time.perf_counter()
            good, frame = capture.retrieve()
            if not good:
                break
            count += 1
            pixels = _to_rgb(cv2, frame)
            yield Frame(pixels, (time.perf_counter() - started) * 1000)
        if not count:
            raise SourceError(f"--camera {shown(camera)}: opened, but gives no frames")
        if _NUMBER.fullmatch(camera) or ("://" in camera and not camera.lower().endswith(_VIDEO_FILES)):
            raise SourceError(
                f"--camera {shown(camera)}: fell silent after {count} frames (unplugged, or the stream broke)"
            )
    finally:
        capture.release()


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


def _to_rgb(cv2: Any, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if frame.ndim == 2:
        rgb: NDArray[np.uint8] = cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB)
    else:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # OpenCV hands out blue first
    return rgb


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
