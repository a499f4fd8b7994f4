"""A camera's http:// address: a stream of JPEGs, or a picture that is fetched again and again."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time

from runtime.errors import ImageError, SourceError
from runtime.file_kind import shown
from runtime.images import MAX_FILE_BYTES
from runtime.sources.frame import Frame, FrameSource, decoded_frame
from runtime.sources.jpegs import JpegSource
from runtime.sources.kinds import without_password
from runtime.sources.web import fetch, open_url

# A picture that is fetched again and again: so many a second where nobody says how many.
_SNAPSHOT_RATE = 5.0


def open_http_camera(url: str, fps: float | None, timeout: float) -> FrameSource | None:
    """What the address gives; None where that is a video, which is OpenCV's to read.

    Args:
        url: ``http://`` or ``https://``.
        fps: times a second that a single picture is fetched; None for 5.
        timeout: seconds that the server may stay silent.

    Raises:
        SourceError: the server cannot be reached, or refuses.
    """
    name = shown(without_password(url))
    response = open_url(url, timeout, SourceError, f"--camera {name}")
    kind = response.headers.get_content_type()
    if kind.startswith("multipart/") or (kind.endswith("jpeg") and kind.startswith("video/")):
        return JpegSource(name, _Response(response, name, timeout), live=True)
    response.close()
    if kind.startswith("image/"):
        return SnapshotSource(url, fps or _SNAPSHOT_RATE, timeout)
    if kind.startswith("text/"):
        raise SourceError(f"--camera {name}: gives {kind}, which is no video; its stream has another address")
    return None


class _Response:
    """Bytes of an HTTP answer; see ``jpegs.Bytes``."""

    def __init__(self, response: http.client.HTTPResponse, name: str, timeout: float) -> None:
        self._response, self._name, self._timeout = response, name, timeout
        # A second handle on the connection, to end it while another thread reads.
        self._socket = socket.fromfd(response.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        self._reading = threading.Lock()
        self._closed = False

    def read(self, count: int) -> bytes:
        with self._reading:
            try:
                return b"" if self._closed else self._response.read1(count)
            except TimeoutError:
                raise SourceError(f"--camera {self._name}: the stream stays silent for {self._timeout:g} s") from None
            except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
                if self._closed:
                    return b""
                raise SourceError(f"--camera {self._name}: the stream broke off ({type(error).__name__})") from error
            finally:
                if self._closed:
                    self._response.close()

    def more(self) -> bool:
        try:
            return bool(select.select([self._socket], [], [], 0)[0])
        except (OSError, ValueError):  # closed, or a handle above what select takes
            return False

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._reading.acquire(blocking=False):  # else it is closed by the thread that reads
            self._response.close()
            self._reading.release()


class SnapshotSource:
    """A ``FrameSource`` over an address that gives one picture at a time.

    Args:
        url: of the picture.
        fps: times a second that it is fetched.
        timeout: seconds that the server may stay silent.
    """

    live = True

    def __init__(self, url: str, fps: float, timeout: float) -> None:
        self.name = shown(without_password(url))
        self.frame_seconds: float | None = 1 / fps
        self._url, self._period, self._timeout = url, 1 / fps, timeout
        self._due = time.monotonic()
        self._count = -1
        self._data = b""
        self._closed = threading.Event()

    def grab(self) -> bool:
        """Fetch the picture once more; see ``FrameSource``."""
        if self._closed.wait(max(0.0, self._due - time.monotonic())):
            return False
        self._due = max(self._due + self._period, time.monotonic())
        try:
            self._data = fetch(self._url, MAX_FILE_BYTES, self._timeout, 2 * self._timeout, ImageError)
        except ImageError as error:
            raise SourceError(f"--camera {error}") from error
        self._count += 1
        return True

    def retrieve(self) -> Frame:
        """Decode it.

        Raises:
            ImageError: it is damaged.
        """
        return decoded_frame(self.name, self._count, self._data, time.perf_counter())

    def close(self) -> None:
        """Fetch no more."""
        self._closed.set()
