"""Frames of a camera, video file or stream, through OpenCV."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError, MissingPackageError, SourceError, UsageError, one_line
from runtime.file_kind import shown
from runtime.sources.frame import Frame, frame_of
from runtime.sources.kinds import camera_kind, is_live, is_url, without_password

# A stream that stays silent for this long, seconds, is taken for dead.
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Asked:
    """What a camera is asked for; see ``CameraOptions``. It may do something else, and then that is said."""

    backend: str | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None


class OpenCVSource:
    """A ``FrameSource`` through OpenCV.

    Args:
        camera: number of a device, path of a video, ``frames/%05d.jpg``, or a URL.
        asked: what a device is asked for.
        timeout: seconds that a stream may stay silent.
        log: told in one line what the device does not do as asked, and that a file is shorter than it says.

    Raises:
        MissingPackageError: OpenCV is not installed.
        SourceError: the source cannot be opened.
        UsageError: OpenCV has no such backend.
    """

    def __init__(
        self,
        camera: str,
        asked: Asked | None = None,
        timeout: float = _TIMEOUT,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        kind = camera_kind(camera)
        self._log = log
        self.name = shown(without_password(camera))
        self.live = is_live(kind)
        self._cv2 = _import_opencv()
        self._asked = asked or Asked()
        self._capture = self._open(camera, round(timeout * 1000), device=kind == "device")
        self._count = 0
        # ``release`` while another thread is within ``grab`` would take the memory from under it.
        self._in_use = threading.Lock()
        self._closed = False
        if not self._capture.isOpened():
            raise SourceError(_cannot_open(camera))
        if kind == "device":
            self._check(log)
        rate = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.frame_seconds = 1 / rate if 0.1 <= rate <= 1000 else None

    def grab(self) -> bool:
        """Wait for the next frame; see ``FrameSource``."""
        with self._in_use:
            more = not self._closed and self._capture.grab()
            if self._closed:
                self._capture.release()
                return False
        if more:
            self._count += 1
            return True
        if not self._count:
            raise SourceError(f"--camera {self.name}: opened, but gives no frames")
        if self.live:
            raise SourceError(
                f"--camera {self.name}: fell silent after {self._count} frames (unplugged, or the stream broke)"
            )
        self._tell_if_short()
        return False

    def retrieve(self) -> Frame:
        """Decode the frame; see ``FrameSource``."""
        started = time.perf_counter()
        try:
            with self._in_use:
                good, pixels = self._capture.retrieve() if not self._closed else (False, None)
        except self._cv2.error as error:
            raise ImageError(f"--camera {self.name}: frame {self._count - 1}: {one_line(error)}") from error
        if not good or pixels is None or not pixels.size:
            raise ImageError(f"--camera {self.name}: frame {self._count - 1} cannot be decoded")
        pixels = self._three_channels(pixels)
        return frame_of(self.name, self._count - 1, pixels, (time.perf_counter() - started) * 1000, "BGR")

    def close(self) -> None:
        """Let the device go; a thread that is within ``grab`` does it when it comes back."""
        self._closed = True
        if self._in_use.acquire(blocking=False):
            self._capture.release()
            self._in_use.release()

    def _tell_if_short(self) -> None:
        """Say so where a video file ends much earlier than its header says: by frames, and by its own clock.

        A file whose frames do not come evenly has fewer than its length and its rate give, and ends in time.
        """
        cv2, capture = self._cv2, self._capture
        said, rate = float(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 1 / (self.frame_seconds or 1)
        came = max(self._count, float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000 * rate + 1)
        # Bare streams of JPEGs have no header: OpenCV makes numbers up for them, below 0 or beyond all measure.
        if self.frame_seconds and came < said - max(2.0, 0.02 * said) and said < 1e9:
            self._log(
                f"--camera {self.name}: ended after {self._count} of the {said:.0f} frames that its header names; is "
                "it cut short?"
            )

    def _three_channels(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """OpenCV hands out blue first, or grey."""
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return pixels
        code = self._cv2.COLOR_BGRA2BGR if pixels.shape[2:] == (4,) else self._cv2.COLOR_GRAY2BGR
        colour: NDArray[np.uint8] = self._cv2.cvtColor(pixels, code)
        return colour

    def _open(self, camera: str, timeout_ms: int, *, device: bool) -> Any:
        cv2, asked = self._cv2, self._asked
        backend = _backend(cv2, asked.backend)
        if device:
            # Format first: the sizes and rates that a camera has depend on it.
            wanted: list[int] = []
            if asked.pixel_format:
                wanted += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*asked.pixel_format)]
            if asked.size:
                wanted += [cv2.CAP_PROP_FRAME_WIDTH, asked.size[0], cv2.CAP_PROP_FRAME_HEIGHT, asked.size[1]]
            capture = cv2.VideoCapture(_number(camera), backend)
            for which, value in zip(wanted[::2], wanted[1::2], strict=True):
                capture.set(which, value)
            if asked.fps:
                capture.set(cv2.CAP_PROP_FPS, asked.fps)
            return capture
        # A device by number takes no timeouts; FFmpeg, which opens files and streams, does.
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        if asked.backend:
            return cv2.VideoCapture(camera, backend)
        capture = cv2.VideoCapture(camera, cv2.CAP_FFMPEG, timeouts)
        return capture if capture.isOpened() or is_url(camera) else cv2.VideoCapture(camera)

    def _check(self, log: Callable[[str], None]) -> None:
        """Say what the camera does otherwise than it was asked."""
        cv2, asked = self._cv2, self._asked
        took = [int(self._capture.get(which)) for which in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        letters = code.to_bytes(4, "little", signed=code < 0).decode("latin-1").strip("\0 ")
        if asked.size and tuple(took) != asked.size:
            log(
                f"--camera {self.name}: does not take --size {asked.size[0]}x{asked.size[1]}; gives {took[0]}x{took[1]}"
            )
        # Cameras round rates to what their clock gives: 29.97 for 30.
        if asked.fps and abs(rate - asked.fps) > 0.02 * asked.fps:
            log(f"--camera {self.name}: does not take --camera-fps {asked.fps:g}; gives {rate:g}")
        if asked.pixel_format and letters != asked.pixel_format.strip():
            log(
                f"--camera {self.name}: does not take --pixel-format {asked.pixel_format.strip()}; gives "
                f"{shown(letters) or 'another'}"
            )


def _number(camera: str) -> int:
    """Of a device: 2 of ``2``, of ``/dev/video2``, and of a link to it, as in ``/dev/v4l/by-id``.

    Raises:
        SourceError: a path that leads to none.
    """
    found = re.fullmatch(r"(?:/dev/video)?([0-9]{1,4})", os.path.realpath(camera) if "/" in camera else camera)
    if not found:
        raise SourceError(_cannot_open(camera))
    return int(found[1])


def _backend(cv2: Any, name: str | None) -> int:
    if name is None:
        return int(cv2.CAP_ANY)
    registry = cv2.videoio_registry
    known = {str(registry.getBackendName(number)).lower(): int(number) for number in registry.getBackends()}
    if name.lower() not in known:
        raise UsageError(f"--backend {shown(name)}: this OpenCV has {', '.join(sorted(known))}")
    return known[name.lower()]


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
    if camera_kind(camera) == "device":
        path = camera if "/" in camera else f"/dev/video{camera}"
        return (
            f"no camera {shown(camera)}: nothing can be opened as {shown(path)} (is it plugged in, is another program "
            "using it, are you in the group 'video'?)"
            if os.name == "posix"
            else f"no camera {camera} (is it plugged in, is another program using it?)"
        )
    name = shown(without_password(camera))
    if Path(camera).is_file():
        return f"--camera {name}: not a video that OpenCV can read"
    return f"--camera {name}: no such video file, or a stream that cannot be opened"
