"""What a source gives: frames, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.spec import ChannelOrder

if TYPE_CHECKING:
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
    """

    source: str
    number: int
    picture: NDArray[np.uint8] | bytes
    time: float
    arrived: float
    decode_ms: float = 0.0
    channel_order: ChannelOrder = "RGB"

    def pixels(self) -> NDArray[np.uint8]:
        """Uint8 (height, width, 3), RGB.

        Raises:
            ImageError: the encoded picture is none, or is damaged.
        """
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
        name: as the user wrote it.
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
        """Decode the frame that was grabbed last.

        Raises:
            SourceError: it cannot be decoded.
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
