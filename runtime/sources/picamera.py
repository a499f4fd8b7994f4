"""Frames of a Raspberry Pi's camera through picamera2, without OpenCV."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from runtime.errors import MissingPackageError, SourceError, first_line
from runtime.sources.frame import Frame, frame_of

# The whole view of a 4:3 sensor, in a size that costs little: models look at 224 x 224 or so.
_SIZE = (640, 480)
# Named the other way round: in memory its bytes are red, green, blue (picamera2's manual, 4.2.2.2).
_FORMAT = "BGR888"
# Frames that the camera may fill while one is looked at.
_BUFFERS = 4
# How often it is looked whether anybody still waits for a frame, seconds.
_LOOK = 0.2


class PiSource:
    """A ``FrameSource`` through picamera2.

    Args:
        camera: ``pi`` or ``pi:N``.
        size: width and height; None for 640 x 480.
        fps: frames a second; None leaves them to the camera.
        timeout: seconds without a frame after which the camera is taken for broken.
        log: told in one line what the camera does not do as asked.

    Raises:
        MissingPackageError: picamera2 is not installed, or does not load.
        SourceError: there is no such camera, or it is in use.
    """

    live = True

    def __init__(
        self,
        camera: str,
        size: tuple[int, int] | None,
        fps: float | None,
        timeout: float,
        log: Callable[[str], None],
    ) -> None:
        self.name = camera
        self.frame_seconds: float | None = None
        self._timeout = timeout
        self._count = 0
        self._request: Any = None
        # A frame that was asked for and has not come: all that picamera2 does waits behind it.
        self._waiting = False
        self._in_use = threading.Lock()
        self._closed = False
        self._camera = _opened(camera, size or _SIZE, fps)
        took = tuple(self._camera.camera_configuration()["main"]["size"])
        if size and took != size:
            log(f"--camera {camera}: does not take --size {size[0]}x{size[1]}; gives {took[0]}x{took[1]}")

    def grab(self) -> bool:
        """Wait for the next frame; see ``FrameSource``."""
        with self._in_use:
            try:
                request = self._next_request()
            except Exception as error:
                if isinstance(error, SourceError):
                    raise
                raise SourceError(f"--camera {self.name}: {first_line(error)}") from error
            finally:
                if self._closed:
                    self._let_go()
        if request is None:
            return False
        self._request = request
        self._count += 1
        return True

    def retrieve(self) -> Frame:
        """Copy the frame out of the camera's memory."""
        started = time.perf_counter()
        request = self._request
        if request is None:
            raise SourceError(f"--camera {self.name}: was closed")
        pixels = request.make_array("main")
        self._give_back()
        return frame_of(self.name, self._count - 1, pixels, (time.perf_counter() - started) * 1000)

    def close(self) -> None:
        """Let the camera go; a thread that is within ``grab`` does it when it comes back."""
        self._closed = True
        if self._in_use.acquire(blocking=False):
            self._let_go()
            self._in_use.release()

    def _next_request(self) -> Any:
        from concurrent.futures import TimeoutError as TooLong

        if self._closed:
            return None
        self._give_back()
        job = self._camera.capture_request(wait=False)
        begun, self._waiting = time.monotonic(), True
        while not self._closed:
            try:
                request = job.get_result(timeout=_LOOK)
                self._waiting = False
                return request
            except TooLong:
                if time.monotonic() - begun > self._timeout:
                    raise SourceError(f"--camera {self.name}: no frame for {self._timeout:g} s") from None
        return None

    def _give_back(self) -> None:
        """A frame that is kept is missing to the camera."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _let_go(self) -> None:
        camera, self._camera = self._camera, None
        self._request = None
        if camera is not None:
            if self._waiting:
                camera.cancel_all_and_flush()
            camera.close()


def _opened(name: str, size: tuple[int, int], fps: float | None) -> Any:
    picamera2 = _import_picamera2()
    number = int(name.partition(":")[2] or 0)
    try:
        there = len(picamera2.Picamera2.global_camera_info())
        if number >= there:
            seen = "libcamera sees none" if not there else f"libcamera sees {there}, counted from 0"
            raise SourceError(f"no camera {name}: {seen} (is its cable in? `rpicam-hello --list-cameras` lists them)")
        camera = picamera2.Picamera2(number)
        try:
            controls = {"FrameRate": fps} if fps else {}
            main = {"format": _FORMAT, "size": size}
            camera.configure(
                camera.create_video_configuration(main=main, buffer_count=_BUFFERS, queue=False, controls=controls)
            )
            camera.start()
        except BaseException:
            camera.close()
            raise
    except SourceError:
        raise
    except Exception as error:  # libcamera's errors are RuntimeErrors of all kinds
        raise SourceError(
            f"--camera {name}: cannot be opened: {first_line(error)} (does another program use it?)"
        ) from error
    return camera


def _import_picamera2() -> Any:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        return import_module("picamera2")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"--camera pi needs {error.name}, which is not installed here: sudo apt install python3-picamera2, and "
            "make the virtual environment with --system-site-packages"
        ) from error
    except Exception as error:  # a numpy that does not fit, say
        raise MissingPackageError(f"picamera2 is installed but does not load: {first_line(error)}") from error
