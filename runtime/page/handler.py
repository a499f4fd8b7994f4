"""One request to the page: held against the rules, then answered."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from runtime.page.connections import PageServer, TooMuchError
from runtime.page.exchange import JSON, Exchange, as_error, as_json_bytes
from runtime.page.site import Site
from runtime.page.uploads import BODY_SECONDS, RefusedError, body_length, form_boundary, picture_in_form

_BOUNDARY = "frame"
# A viewer hears something at least so often, seconds: that is how one that has gone is noticed.
_HEARTBEAT = 2.0
# Answers a second at most; the eye reads no more.
_ANSWERS_A_SECOND = 8.0
_COOKIE_SECONDS = 30 * 24 * 3600
_FILES = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# Path -> the one method beside HEAD that it takes; HEAD goes where GET does.
_METHODS = {
    **dict.fromkeys(_FILES, "GET"),
    **dict.fromkeys(("/", "/stream", "/frame.jpg", "/events", "/status", "/openapi.json"), "GET"),
    "/classify": "POST",
}
# What shows nothing of the camera: a page that asks for the token needs them.
_OPEN_TO_ALL = frozenset(("/page.css", "/icon.svg"))


class PageHandler(Exchange):
    """Answers what is asked of the page.

    Args:
        site: what there is to see.
        connection, client_address, server: as ``socketserver`` gives them.
    """

    def __init__(self, site: Site, connection: socket.socket, client_address: Any, server: PageServer) -> None:
        self._site = site
        super().__init__(connection, client_address, server)

    def answer(self) -> None:
        """Answer the request that has come; see ``Exchange``."""
        path, _, query = self.path.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=10)) if query.count("&") < 10 else {}
        self.unread = self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        if len(self.headers.get_all("Host", ())) > 1:
            raise RefusedError(HTTPStatus.BAD_REQUEST, "There must be one Host header.")
        refusal = self._site.access.refusal_of(self.headers, navigates=path == "/")
        if refusal is not None:
            raise RefusedError(refusal.status, refusal.reason)
        admitted = self._site.access.admits(self.headers, asked.get("token"))
        if not admitted and path not in _OPEN_TO_ALL:
            self._ask_for_token(path, wrong="token" in asked)
            return
        self.keep_place()
        method = _METHODS.get(path)
        if method is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if self.command not in ((method, "HEAD") if method == "GET" else (method,)):
            self.send(HTTPStatus.METHOD_NOT_ALLOWED, as_error(f"Only {method}."), JSON, Allow=method)
            return
        if path == "/" and "token" in asked and self._site.access.token is not None:
            self._keep_token()
        elif path in _FILES:
            name, kind = _FILES[path]
            self.send(HTTPStatus.OK, self._site.file(name), kind)
        else:
            self._routes()[path](asked)

    def say(self, line: str) -> None:
        """One line for the log."""
        self._site.say(line)

    def _routes(self) -> dict[str, Callable[[dict[str, str]], None]]:
        return {
            "/": lambda _: self.send(HTTPStatus.OK, self._site.file("page.html"), "text/html; charset=utf-8"),
            "/status": lambda _: self.send(HTTPStatus.OK, as_json_bytes(self._site.status()), JSON),
            "/openapi.json": lambda _: self.send(HTTPStatus.OK, as_json_bytes(self._site.openapi()), JSON),
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
        self.send(HTTPStatus.OK, jpeg, "image/jpeg")

    def _send_stream(self) -> None:
        live = self._need_camera()
        with self._viewing("stream"):
            self.start(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
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
            self.start(HTTPStatus.OK, "text/event-stream; charset=utf-8")
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
            self.unread = False
            if boundary is not None:
                picture = picture_in_form(picture, boundary)
            name = asked.get("name", "picture")[:200]
            answer = site.uploads.classify(picture, name, rules)
        self.send(HTTPStatus.OK, site.answer_json(name, answer), JSON)

    def _read_body(self, length: int) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.reader.allow(BODY_SECONDS, length)
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
        self.start(HTTPStatus.SEE_OTHER, "text/plain", 0, Location="/", Set_Cookie=cookie)

    def _ask_for_token(self, path: str, *, wrong: bool) -> None:
        if wrong:
            self._site.wrong_token(str(self.client_address[0]))
        if path == "/":
            content, kind = self._site.token_page(wrong=wrong), "text/html; charset=utf-8"
        else:
            content, kind = as_error("The token is missing or wrong; the command printed it when it started."), JSON
        self.send(HTTPStatus.UNAUTHORIZED, content, kind, WWW_Authenticate='Bearer realm="runtime"')


def _event(name: str, content: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + as_json_bytes(content) + b"\n\n"


def _all_values(headers: Any) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in headers.items():
        values.setdefault(name.lower(), []).append(value.strip())
    return values
