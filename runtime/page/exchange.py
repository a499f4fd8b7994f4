"""One connection to the page: a request comes in within limits, an answer goes out."""

from __future__ import annotations

import contextlib
import io
import json
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from runtime.errors import EdgeExportError, one_line
from runtime.page.connections import HEADER_BYTES, HEADER_SECONDS, BoundedReader, PageServer, TooMuchError
from runtime.page.uploads import RefusedError

# What is still coming in when the answer has been given is thrown away for so long, seconds: a connection that is
# closed on unread bytes is reset, and the answer with it.
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 64 * 1024 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
JSON = "application/json; charset=utf-8"


class Exchange(BaseHTTPRequestHandler):
    """Answers one request and closes the connection; what is answered is said by its heir.

    Attributes:
        reader: what the request comes through.
        unread: whether the visitor is sending something that nobody has read.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "runtime", ""
    server: PageServer

    def __init__(self, connection: socket.socket, client_address: Any, server: PageServer) -> None:
        self.unread = self._begun = False
        super().__init__(connection, client_address, server)

    def setup(self) -> None:
        """Read within limits."""
        super().setup()
        self.reader = BoundedReader(self.connection)
        self.rfile = io.BufferedReader(self.reader)

    def handle(self) -> None:
        """Answer the one request."""
        self.close_connection = True
        self.reader.allow(HEADER_SECONDS, HEADER_BYTES)
        try:
            self.raw_requestline = self.rfile.readline(HEADER_BYTES)
            if self.raw_requestline.strip() and self.parse_request():
                self.close_connection = True
                self.answer()
        except TooMuchError:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too long.")
        except RefusedError as refused:
            self.refuse(refused.status, refused.reason)
        except OSError:  # the visitor is gone, or too slow
            return
        except EdgeExportError as error:  # the model fails, say
            self.say(one_line(error))
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, one_line(error))
        except Exception as error:
            self.say(f"{self.command} failed: {type(error).__name__}: {one_line(error)}")
            self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong; the log of the command says what.")
        if self.unread:
            self._linger()

    def handle_expect_100(self) -> bool:
        """``Expect: 100-continue`` is answered when the picture is wanted, not before."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request."""
        self.refuse(HTTPStatus(code), "The request is not one that a browser would send.")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news."""

    def answer(self) -> None:
        """Answer the request that has come.

        Raises:
            RefusedError: it is refused.
        """
        raise NotImplementedError

    def keep_place(self) -> None:
        """The visitor may have an answer: it is not sent away where all connections are taken."""
        self.server.asked(self.connection)

    def say(self, line: str) -> None:
        """One line for the log."""
        raise NotImplementedError

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Answer with an error, where the answer has not begun."""
        extra = {"Retry_After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if self._begun:  # in the middle of an answer only its end can say that something is wrong
            return
        with contextlib.suppress(OSError):
            self.send(status, as_error(reason), JSON, **extra)
            self.unread = True

    def send(self, status: HTTPStatus, content: bytes, kind: str, **more: str) -> None:
        """Send a whole answer; see ``start``."""
        self.start(status, kind, len(content), **more)
        if self.command != "HEAD":
            self.wfile.write(content)

    def start(self, status: HTTPStatus, kind: str, length: int | None = None, **more: str) -> None:
        """Send the head of the answer.

        Args:
            status: of the answer.
            kind: its content type.
            length: its content length; None where it goes on until the connection closes.
            more: headers; underscores in their names stand for hyphens.
        """
        self._begun = True
        self.request_version = "HTTP/1.1"  # for others, and for what was no request, the head would be left out
        if not hasattr(self, "requestline"):
            self.command, self.requestline = "GET", ""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (_HEADERS | more).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _linger(self) -> None:
        with contextlib.suppress(OSError, TooMuchError):
            self.connection.shutdown(socket.SHUT_WR)
            self.reader.allow(_LINGER_SECONDS, _LINGER_BYTES)
            while self.rfile.read1(65536):
                pass


def as_json_bytes(content: Any) -> bytes:
    """JSON as it is sent."""
    return json.dumps(content).encode()


def as_error(reason: str) -> bytes:
    """The body of an answer that refuses."""
    return as_json_bytes({"error": reason})
