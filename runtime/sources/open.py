"""``--camera`` to a source of frames."""

from __future__ import annotations

from runtime.records import dataclass
from runtime.sources.frame import FrameSource, OpenSource


@dataclass(frozen=True)
class CameraOptions:
    """Which camera, and how its frames are taken.

    Attributes:
        camera: as the user names it; see ``runtime classify --help``.
        realtime: play a file at its own speed, as a camera would: frames that come while the model works are left out.
        fps: frames that are classified a second at most; None means as many as come.
    """

    camera: str
    realtime: bool = False
    fps: float | None = None


def opener(options: CameraOptions) -> OpenSource:
    """What opens the camera that is meant, now and after it broke."""

    def open_source() -> FrameSource:
        from runtime.sources.opencv import OpenCVSource

        return OpenCVSource(options.camera)

    return open_source
