"""Connections to the page: how many, how long, how much; whatever is at the other end."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import threading
import time
from typing import Any

# A request's first line and headers must be here after so many seconds, in so many bytes.
HEADER_SECONDS, HEADER_BYTES = 10.0, 32 * 1024
# What a visitor does not take within so many seconds is not sent: a picture, say.
SEND_SECONDS = 10.0
# Bytes on their way to a viewer at most. More would only make what a slow one sees older.
_SEND_BUFFER = 128 * 1024
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class TooMuchError(Exception):
    """More bytes were sent than may be."""


class BoundedReader(io.RawIOBase):
    """Reads from a socket until a moment and a number of bytes, however slowly they trickle in.

    Args:
        connection: what is read from.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = 0.0
        self._left = 0

    def allow(self, seconds: float, most_bytes: int) -> None:
        """From now on, so long and so much."""
        self._until, self._left = time.monotonic() + seconds, most_bytes

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is.

        Raises:
            TimeoutError: the time is over.
            TooMuchError: as many bytes have come as may.
        """
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        if self._left <= 0:
            raise TooMuchError
        self._connection.settimeout(remaining)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        self._connection.settimeout(SEND_SECONDS)
        return count


class PageServer(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """A thread for each connection, up to a number of them.

    Where all are in use, whoever has kept one longest without finishing its request loses it: clients that send their
    request a byte at a time do not shut the others out.

    Args:
        listener: a socket that listens.
        handler: of the requests.
        most: connections at a time.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, handler: Any, most: int) -> None:
        super().__init__(listener.getsockname(), handler)
        self._listener = listener
        self._most = most
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._asking: dict[socket.socket, None] = {}  # those whose request is not here yet, oldest first

    def fileno(self) -> int:
        """Of the socket that listens, for ``serve_forever``."""
        return self._listener.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take the next connection."""
        connection, address = self._listener.accept()
        connection.settimeout(SEND_SECONDS)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Find a place for a connection, or turn it away."""
        with self._guard:
            room = len(self._open) < self._most
            oldest = None if room else next(iter(self._asking), None)
            if oldest is not None:
                del self._asking[oldest]
                self._open.discard(oldest)
            if room or oldest is not None:
                self._open.add(request)
                self._asking[request] = None
        if oldest is not None:
            _end(oldest)
        elif not room:
            with contextlib.suppress(OSError):
                request.send(_FULL)  # a few bytes into an empty buffer: this never waits
        return room or oldest is not None

    def asked(self, request: socket.socket) -> None:
        """A connection's request is here: it keeps its place."""
        with self._guard:
            self._asking.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and free its place."""
        with self._guard:
            self._asking.pop(request, None)
            self._open.discard(request)
        _end(request)
        with contextlib.suppress(OSError):
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor that goes away in the middle of something is no news."""

    def server_close(self) -> None:
        """Stop listening, and end every connection."""
        self._listener.close()
        with self._guard:
            left = list(self._open)
        for connection in left:
            _end(connection)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
