"""A stand-in for the Python bindings of libcamera, as far as picamera2 calls them: one camera, drawn frames.

Everything above this border is the real picamera2. The buffers, which are a Raspberry Pi's DMA memory, are anonymous
files here (``picamera2.dma_heap`` asks the kernel's /dev/dma_heap for them, which is no part of libcamera; see
``sitecustomize.py`` beside this file). How the camera behaves is told by environment variables:
``STANDIN_STALLS_AFTER`` frames it gives no more, ``STANDIN_CAMERAS`` is how many there are.

Frames are red above and blue below, the bytes in the order that libcamera writes for BGR888: red first.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
import os
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

_libcamera = sys.modules[__name__]
_STALLS_AFTER = int(os.environ.get("STANDIN_STALLS_AFTER", "1000000"))
_CAMERAS = int(os.environ.get("STANDIN_CAMERAS", "1"))


class _Values:
    """Compared by their attributes, as libcamera's small types."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __str__(self) -> str:
        return str(sorted(self.__dict__.items(), key=lambda item: item[0]))

    def __hash__(self) -> int:
        return hash(str(self))


class Transform(_Values):
    def __init__(self, other: Any = None, hflip: int = 0, vflip: int = 0, transpose: int = 0) -> None:
        super().__init__(hflip=bool(hflip), vflip=bool(vflip), transpose=bool(transpose))
        if other is not None:
            self.__dict__.update(other.__dict__)


class ColorSpace(_Values):
    YcbcrEncoding = enum.Enum("YcbcrEncoding", "Null Rec601 Rec709")
    Range = enum.Enum("Range", "Full Limited")

    def __init__(self, other: Any = None, name: str = "Sycc") -> None:
        super().__init__(primaries=name, transferFunction=name, ycbcrEncoding=self.YcbcrEncoding.Rec601)
        self.range = self.Range.Full
        if other is not None:
            self.__dict__.update(other.__dict__)

    @classmethod
    def Sycc(cls) -> ColorSpace:
        return cls(name="Sycc")

    @classmethod
    def Smpte170m(cls) -> ColorSpace:
        return cls(name="Smpte170m")

    @classmethod
    def Rec709(cls) -> ColorSpace:
        return cls(name="Rec709")

    @classmethod
    def Raw(cls) -> ColorSpace:
        return cls(name="Raw")


class Size:
    def __init__(self, width: int = 0, height: int = 0) -> None:
        self.width, self.height = width, height


class Rectangle:
    def __init__(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height


class PixelFormat:
    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name


Orientation = enum.Enum(
    "Orientation",
    "Rotate0 Rotate0Mirror Rotate180 Rotate180Mirror Rotate90 Rotate90Mirror Rotate270 Rotate270Mirror",
)
StreamRole = enum.Enum("StreamRole", "StillCapture Raw VideoRecording Viewfinder")
ControlType = enum.Enum("ControlType", "Float Integer32 Rectangle Size Bool")


class ControlId:
    def __init__(self, name: str, kind: Any) -> None:
        self.name, self.type = name, kind


def _control(name: str, kind: Any = ControlType.Integer32) -> ControlId:
    return ControlId(name, kind)


_NOISE = enum.IntEnum("NoiseReductionModeEnum", "Off Fast HighQuality Minimal")
controls = SimpleNamespace(
    ExposureTime=_control("ExposureTime"),
    ExposureTimeMode=_control("ExposureTimeMode"),
    AnalogueGain=_control("AnalogueGain", ControlType.Float),
    AnalogueGainMode=_control("AnalogueGainMode"),
    FrameRate=_control("FrameRate", ControlType.Float),
    FrameDurationLimits=_control("FrameDurationLimits"),
    NoiseReductionMode=_control("NoiseReductionMode"),
    draft=SimpleNamespace(NoiseReductionModeEnum=_NOISE),
)
properties = SimpleNamespace(draft=SimpleNamespace(ColorFilterArrangementEnum=enum.IntEnum("Arrangement", "RGGB MONO")))
sys.modules["libcamera.controls"] = controls  # type: ignore[assignment]


class FrameMetadata:
    Status = enum.Enum("Status", "Success Error Cancelled")


class FrameBuffer:
    class Plane:
        fd = -1
        offset = 0
        length = 0

    def __init__(self, planes: list[Any]) -> None:
        self.planes = planes
        self.metadata = SimpleNamespace(status=FrameMetadata.Status.Success)


class SensorConfiguration:
    bit_depth = 0
    output_size = Size()


class _StreamConfiguration:
    """Sizes are taken up to 1280 x 960, as a sensor has its limits."""

    def __init__(self, role: Any) -> None:
        self.role = role
        self.stream = object()
        raw = role is StreamRole.Raw
        self.pixel_format = PixelFormat("SRGGB10_CSI2P" if raw else "XBGR8888")
        self.size = Size(1280, 960)
        self.stride = self.frame_size = 0
        self.buffer_count = 4
        self.color_space: Any = ColorSpace.Sycc()
        self.formats = SimpleNamespace(
            pixel_formats=[PixelFormat("SRGGB10_CSI2P")], sizes=lambda _format: [Size(640, 480), Size(1280, 960)]
        )

    def settle(self) -> bool:
        """Bring it to what the camera can do; whether it was asked for more."""
        wanted = self.size
        self.size = Size(min(wanted.width, 1280), min(wanted.height, 960))
        # Lines are padded to 64 bytes, as the hardware does.
        across = self.size.width * (3 if "888" in str(self.pixel_format) else 2)
        self.stride = (across + 63) // 64 * 64
        self.frame_size = self.stride * self.size.height
        return (self.size.width, self.size.height) != (wanted.width, wanted.height)


class CameraConfiguration:
    Status = enum.Enum("Status", "Valid Adjusted Invalid")

    def __init__(self, roles: list[Any]) -> None:
        self._streams = [_StreamConfiguration(role) for role in roles]
        self.orientation = Orientation.Rotate0
        self.sensor_config: Any = None

    def at(self, index: int) -> _StreamConfiguration:
        return self._streams[index]

    def __iter__(self) -> Any:
        return iter(self._streams)

    def validate(self) -> Any:
        changed = [stream.settle() for stream in self._streams]
        return self.Status.Adjusted if any(changed) else self.Status.Valid


class Request:
    Status = enum.Enum("Status", "Pending Complete Cancelled")

    def __init__(self, cookie: int) -> None:
        self.cookie = cookie
        self.buffers: dict[Any, FrameBuffer] = {}
        self.metadata: dict[Any, Any] = {}
        self.status = self.Status.Pending

    def add_buffer(self, stream: Any, buffer: FrameBuffer) -> None:
        self.buffers[stream] = buffer

    def set_control(self, _control: Any, _value: Any) -> None:
        pass

    def reuse(self) -> None:
        self.status = self.Status.Pending


class Camera:
    id = "/base/standin"

    def __init__(self, manager: CameraManager) -> None:
        self._manager = manager
        self._queued: list[Request] = []
        self._changed = threading.Lock()
        self._running = False
        self._frames = 0
        self._main: Any = None
        self._taken = False
        limits = SimpleNamespace(min=1, max=100_000_000, default=33_333)
        names = ("ExposureTime", "AnalogueGain", "FrameRate", "FrameDurationLimits", "NoiseReductionMode")
        self.controls = {getattr(controls, name): limits for name in names}
        self.properties = {_control("Model"): "standin", _control("ColorFilterArrangement"): 0}

    def acquire(self) -> None:
        if self._taken:
            raise RuntimeError("Device or resource busy")
        self._taken = True

    def release(self) -> None:
        self._taken = False

    def generate_configuration(self, roles: list[Any]) -> CameraConfiguration:
        return CameraConfiguration(roles)

    def configure(self, configuration: CameraConfiguration) -> int:
        self._main = configuration.at(0)
        return 0

    def create_request(self, cookie: int) -> Request:
        return Request(cookie)

    def queue_request(self, request: Request) -> None:
        with self._changed:
            self._queued.append(request)

    def start(self, _controls: Any = None) -> None:
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._running = False
            self._queued.clear()
        self._thread.join()  # libcamera promises that nothing comes after it

    def _run(self) -> None:
        while self._running:
            time.sleep(0.02)
            with self._changed:
                if not self._queued or self._frames >= _STALLS_AFTER:
                    continue
                request = self._queued.pop(0)
            self._draw(request.buffers[self._main.stream])
            self._frames += 1
            request.status = Request.Status.Complete
            self._manager.complete(request)

    def _draw(self, buffer: FrameBuffer) -> None:
        import numpy as np

        stride, height, width = self._main.stride, self._main.size.height, self._main.size.width
        with mmap.mmap(buffer.planes[0].fd, self._main.frame_size) as memory:
            lines = np.frombuffer(memory, np.uint8).reshape(height, stride)
            pixels = lines[:, : width * 3].reshape(height, width, 3)
            pixels[: height // 2] = (255, 0, 0)
            pixels[height // 2 :] = (0, 0, 255)
            del lines, pixels


class CameraManager:
    _single: CameraManager | None = None

    def __init__(self) -> None:
        self.event_fd, self._signal = os.pipe2(os.O_NONBLOCK)
        self._ready: list[Request] = []
        self._lock = threading.Lock()
        self.cameras = [Camera(self) for _ in range(_CAMERAS)]

    @classmethod
    def singleton(cls) -> CameraManager:
        cls._single = cls._single or cls()
        return cls._single

    def complete(self, request: Request) -> None:
        with self._lock:
            self._ready.append(request)
        os.write(self._signal, b"\0")

    def get_ready_requests(self) -> list[Request]:
        with self._lock:
            ready, self._ready = self._ready, []
        with contextlib.suppress(BlockingIOError):
            os.read(self.event_fd, 4096)
        return ready
