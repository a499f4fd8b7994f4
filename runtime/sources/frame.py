"""What a source gives: frames, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from runtime.spec import ChannelOrder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a camera, a video or a file.

    Attributes:
        source: what it is called in answers: a file's path, or the camera as the user named it.
        number: frames of this source before it; with a camera the numbers of frames that nobody looked at are left out.
        picture: uint8 (height, width, 3); or the bytes of an encoded picture, as a file holds it.
        time: when it was taken, seconds since 1970 (UTC); of a file, when it was read.
        arrived: the same moment on ``time.monotonic()``'s clock.
        decode_ms: what its decoding has taken so far, milliseconds.
        channel_order: of an array's last axis.
        encoded: the JPEG that ``picture`` was decoded from, where nothing has been changed in it since: it may be kept
            or sent on as it is.
        dropped: frames that came between the one looked at before and this one, and that nobody looked at.
    """

    source: str
    number: int
    picture: NDArray[np.uint8] | bytes
    time: float
    arrived: float
    decode_ms: float = 0.0
    channel_order: ChannelOrder = "RGB"
    encoded: bytes | None = None
    dropped: int = 0

    @property
    def original(self) -> bytes | None:
        """The encoded picture as it came; None where there is none that shows the same."""
        return self.encoded or (self.picture if isinstance(self.picture, bytes) else None)

    def pixels(self) -> NDArray[np.uint8]:
        """Uint8 (height, width, 3), RGB.

        Raises:
            ImageError: the encoded picture is none, or is damaged.
        """
        import numpy as np

        if isinstance(self.picture, bytes):
            from runtime.images import decode_image

            decoded: NDArray[np.uint8] = np.asarray(decode_image(self.picture, self.source))
            return decoded
        return self.picture if self.channel_order == "RGB" else np.ascontiguousarray(self.picture[:, :, ::-1])

    def image(self) -> Image:
        """The same as a Pillow picture.

        Raises:
            ImageError: the encoded picture is none, or is damaged.
        """
        from PIL import Image as module

        return module.fromarray(self.pixels())


class FrameSource(Protocol):
    """A camera, a video or a stream, opened; used by one thread.

    Attributes:
        name: as the user wrote it, without a password.
        live: whether it should never end: what ends all the same has been unplugged, say, and is opened again.
        frame_seconds: between two frames, where the source says so; how fast a video file is to be played.
    """

    name: str
    live: bool
    frame_seconds: float | None

    def grab(self) -> bool:
        """Wait for the next frame, without decoding it; False where the source has ended.

        Raises:
            SourceError: it broke.
        """

    def retrieve(self) -> Frame:
        """Decode the frame that was grabbed last. Nobody need ask for it.

        Raises:
            ImageError: this frame is damaged; the next one may be good.
            SourceError: the source broke.
        """

    def close(self) -> None:
        """Let the device go; may be called more than once, and while another thread waits in ``grab``."""


class OpenSource(Protocol):
    """Opens a source, and opens it again after it broke."""

    def __call__(self) -> FrameSource:
        """The source, opened.

        Raises:
            SourceError: it cannot be opened.
            MissingPackageError: a package is needed for it.
        """


def frame_of(source: str, number: int, picture: Any, decode_ms: float, order: ChannelOrder = "RGB") -> Frame:
    """A frame that has come this moment."""
    import time

    return Frame(source, number, picture, time.time(), time.monotonic(), decode_ms, order)


def decoded_frame(source: str, number: int, data: bytes, started: float) -> Frame:
    """A frame that came as an encoded picture.

    Args:
        source: what it is called.
        number: of the frame.
        data: the whole encoded picture.
        started: ``time.perf_counter()`` when the work on it began.

    Raises:
        ImageError: the picture is damaged.
    """
    import time

    import numpy as np

    from runtime.images import decode_image

    pixels = np.asarray(decode_image(data, f"{source}: frame {number}"))
    frame = frame_of(source, number, pixels, (time.perf_counter() - started) * 1000)
    return replace(frame, encoded=data) if data.startswith(b"\xff\xd8") else frame
