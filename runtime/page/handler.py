"""One request to the page: held against the rules, then answered."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from runtime.errors import EdgeExportError, one_line
from runtime.page.connections import HEADER_BYTES, HEADER_SECONDS, BoundedReader, PageServer, TooMuchError
from runtime.page.site import Site
from runtime.page.uploads import BODY_SECONDS, RefusedError, body_length, form_boundary, picture_in_form

_BOUNDARY = "frame"
# A viewer hears something at least so often, seconds: that is how one that has gone is noticed.
_HEARTBEAT = 2.0
# Answers a second at most; the eye reads no more.
_ANSWERS_A_SECOND = 8.0
# What is still coming in when the answer has been given is thrown away for so long, seconds: a connection that is
# closed on unread bytes is reset, and the answer with it.
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 64 * 1024 * 1024
_COOKIE_SECONDS = 30 * 24 * 3600
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FILES = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_JSON = "application/json; charset=utf-8"
# Path -> the one method beside HEAD that it takes; HEAD goes where GET does.
_METHODS = {
    **dict.fromkeys(_FILES, "GET"),
    **dict.fromkeys(("/", "/stream", "/frame.jpg", "/events", "/status", "/openapi.json"), "GET"),
    "/classify": "POST",
}
# What shows nothing of the camera: a page that asks for the token needs them.
_OPEN_TO_ALL = frozenset(("/page.css", "/icon.svg"))


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request and closes the connection.

    Args:
        site: what there is to see.
        connection, client_address, server: as ``socketserver`` gives them.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "runtime", ""
    server: PageServer

    def __init__(self, site: Site, connection: socket.socket, client_address: Any, server: PageServer) -> None:
        self._site = site
        self._unread = self._begun = False
        super().__init__(connection, client_address, server)

    def setup(self) -> None:
        """Read within limits."""
        super().setup()
        self._reader = BoundedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle(self) -> None:
        """Answer the one request."""
        self.close_connection = True
        self._reader.allow(HEADER_SECONDS, HEADER_BYTES)
        try:
            self.raw_requestline = self.rfile.readline(HEADER_BYTES)
            if not self.raw_requestline.strip() or not self.parse_request():
                return
            self.close_connection = True
            self.server.asked(self.connection)
            self._answer()
        except TooMuchError:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's headers are too long.")
        except RefusedError as refused:
            self._refuse(refused.status, refused.reason)
        except OSError:  # the visitor is gone, or too slow
            return
        except EdgeExportError as error:  # the model fails, say
            self._site.say(one_line(error))
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, one_line(error))
        except Exception as error:
            self._site.say(f"{self.command} failed: {type(error).__name__}: {one_line(error)}")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong; the log of the command says what.")
        if self._unread:
            self._linger()

    def handle_expect_100(self) -> bool:
        """``Expect: 100-continue`` is answered when the picture is wanted, not before."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class finds wrong with a request."""
        self._refuse(HTTPStatus(code), "The request is not one that a browser would send.")

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news."""

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=10)) if query.count("&") < 10 else {}
        self._unread = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        if len(self.headers.get_all("Host", ())) > 1:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "There must be one Host header.")
        refusal = self._site.access.refusal_of(self.headers, navigates=path == "/")
        if refusal is not None:
            raise RefusedError(refusal.status, refusal.reason)
        admitted = self._site.access.admits(self.headers, asked.get("token"))
        if not admitted and path not in _OPEN_TO_ALL:
            self._ask_for_token(path, wrong="token" in asked)
            return
        method = _METHODS.get(path)
        if method is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if self.command not in ((method, "HEAD") if method == "GET" else (method,)):
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, _error(f"Only {method}."), _JSON, Allow=method)
            return
        if path == "/" and "token" in asked and self._site.access.token is not None:
            self._keep_token()
        elif path in _FILES:
            name, kind = _FILES[path]
            self._send(HTTPStatus.OK, self._site.file(name), kind)
        else:
            self._routes()[path](asked)

    def _routes(self) -> dict[str, Callable[[dict[str, str]], None]]:
        return {
            "/": lambda _: self._send(HTTPStatus.OK, self._site.file("page.html"), "text/html; charset=utf-8"),
            "/status": lambda _: self._send(HTTPStatus.OK, _json(self._site.status()), _JSON),
            "/openapi.json": lambda _: self._send(HTTPStatus.OK, _json(self._site.openapi()), _JSON),
            "/frame.jpg": lambda _: self._send_frame(),
            "/stream": lambda _: self._send_stream(),
            "/events": lambda _: self._send_events(),
            "/classify": self._classify,
        }

    # --- pictures and answers ---

    def _send_frame(self) -> None:
        seen = self._need_camera().newer_than(None, _HEARTBEAT)
        jpeg = self._site.pictures.jpeg(seen) if seen is not None else None
        if jpeg is None:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "There is no picture yet; try again in a moment.")
        self._send(HTTPStatus.OK, jpeg, "image/jpeg")

    def _send_stream(self) -> None:
        live = self._need_camera()
        with self._viewing("stream"):
            self._start(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            if self.command == "HEAD":
                return
            self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
            seen = None
            while True:
                due = time.monotonic() + 1 / self._site.stream_fps
                seen = live.newer_than(seen, _HEARTBEAT)
                jpeg = self._site.pictures.jpeg(seen) if seen is not None else None
                if jpeg is not None:
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    # With the boundary behind it: browsers show a picture when they see where it ends.
                    self.wfile.write(head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode())
                time.sleep(max(0.0, due - time.monotonic()))

    def _send_events(self) -> None:
        """Server-sent events: ``status`` as it changes, and ``changes`` whenever there is a new one."""
        live = self._need_camera()
        with self._viewing("events"):
            self._start(HTTPStatus.OK, "text/event-stream; charset=utf-8")
            if self.command == "HEAD":
                return
            seen, told = None, -1
            while True:
                due = time.monotonic() + 1 / _ANSWERS_A_SECOND
                status = self._site.status()
                text = _event("status", status)
                if status["changes"] != told:
                    told = status["changes"]
                    text += _event("changes", live.changes())
                self.wfile.write(text)
                time.sleep(max(0.0, due - time.monotonic()))
                seen = live.newer_than(seen, _HEARTBEAT / 2)

    @contextlib.contextmanager
    def _viewing(self, what: str) -> Any:
        with self._site.viewer(what) as place:
            if not place:
                raise RefusedError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{self._site.viewers} browsers watch already; --viewers allows more.",
                )
            yield

    def _need_camera(self) -> Any:
        if self._site.live is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is no camera: the command was started without --camera.")
        return self._site.live

    # --- a posted picture ---

    def _classify(self, asked: dict[str, str]) -> None:
        site = self._site
        length = body_length(_all_values(self.headers), site.max_upload_bytes)
        boundary = form_boundary(self.headers.get("Content-Type", ""))
        rules = site.uploads.rules_of(asked.get("top_k"), asked.get("threshold"))
        with site.uploads.place():
            picture = self._read_body(length)
            self._unread = False
            if boundary is not None:
                picture = picture_in_form(picture, boundary)
            name = asked.get("name", "picture")[:200]
            answer = site.uploads.classify(picture, name, rules)
        self._send(HTTPStatus.OK, site.answer_json(name, answer), _JSON)

    def _read_body(self, length: int) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._reader.allow(BODY_SECONDS, length)
        try:
            body = self.rfile.read(length)
        except TimeoutError:
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, "The picture came too slowly.") from None
        except TooMuchError:
            body = b""
        if len(body) != length:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "The picture was cut short on its way.")
        return body

    # --- the token ---

    def _keep_token(self) -> None:
        """Put the token into a cookie, and send the browser to the address without it."""
        access = self._site.access
        cookie = f"{access.cookie}={access.token}; Path=/; Max-Age={_COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
        self._start(HTTPStatus.SEE_OTHER, "text/plain", 0, Location="/", Set_Cookie=cookie)

    def _ask_for_token(self, path: str, *, wrong: bool) -> None:
        if wrong:
            self._site.wrong_token(str(self.client_address[0]))
        if path == "/":
            content, kind = self._site.token_page(wrong=wrong), "text/html; charset=utf-8"
        else:
            content, kind = _error("The token is missing or wrong; the command printed it when it started."), _JSON
        self._send(HTTPStatus.UNAUTHORIZED, content, kind, WWW_Authenticate='Bearer realm="runtime"')

    # --- sending ---

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        extra = {"Retry_After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        if self._begun:  # in the middle of an answer only its end can say that something is wrong
            return
        with contextlib.suppress(OSError):
            self._send(status, _error(reason), _JSON, **extra)
            self._unread = True

    def _send(self, status: HTTPStatus, content: bytes, kind: str, **more: str) -> None:
        self._start(status, kind, len(content), **more)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _start(self, status: HTTPStatus, kind: str, length: int | None = None, **more: str) -> None:
        """Send the head of the answer; underscores in the names of headers stand for hyphens."""
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
            self._reader.allow(_LINGER_SECONDS, _LINGER_BYTES)
            while self.rfile.read1(65536):
                pass


def _all_values(headers: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers.items():
        values.setdefault(name.lower(), []).append(value.strip())
    return values


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _error(reason: str) -> bytes:
    return _json({"error": reason})


def _event(name: str, content: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _json(content) + b"\n\n"
