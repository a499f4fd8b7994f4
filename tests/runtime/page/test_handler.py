from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.runtime.page.conftest import Served, read_all, seen

Serve = Callable[..., Served]
TOKEN = "a-token-that-is-long"


def test_the_page_and_its_files(serve: Serve) -> None:
    served = serve()
    kinds = {"/": "text/html", "/page.css": "text/css", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}
    for path, kind in kinds.items():
        reply = served.ask(path)
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(kind)
        assert int(reply.headers["content-length"]) == len(reply.body) > 100
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        head = served.ask(path, "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == reply.headers["content-length"]


def test_the_page_asks_nobody_else_for_anything(serve: Serve) -> None:
    served = serve()
    for path in ("/", "/page.css", "/page.js"):
        text = served.ask(path).body.decode()
        assert "http:" not in text
        assert "https:" not in text
        assert "//cdn" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/no",
        "/../etc/passwd",
        "/%2e%2e/x",
        "//etc/passwd",
        "/page.css/",
        "/files/page.css",
        "/page.css%00",
        "*",
        "http://a/",
    ],
)
def test_paths_that_are_not_there(serve: Serve, path: str) -> None:
    reply = serve().ask(path)
    assert reply.status == 404
    assert reply.json == {"error": "There is nothing here."}


def test_methods(serve: Serve) -> None:
    served = serve()
    for path, method, allowed in (
        ("/", "POST", "GET"),
        ("/classify", "GET", "POST"),
        ("/classify", "HEAD", "POST"),
        ("/status", "DELETE", "GET"),
        ("/", "OPTIONS", "GET"),
        ("/", "NONSENSE", "GET"),
    ):
        reply = served.ask(path, method)
        assert reply.status == 405
        assert reply.headers["allow"] == allowed


def test_without_a_camera(serve: Serve) -> None:
    served = serve()
    assert served.ask("/status").json["camera"] is None
    for path in ("/stream", "/events", "/frame.jpg"):
        reply = served.ask(path)
        assert reply.status == 404
        assert "without --camera" in reply.json["error"]


def test_one_frame(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.page.handler._HEARTBEAT", 0.01)
    served = serve(camera=True)
    assert served.live is not None
    assert served.ask("/frame.jpg").status == 503
    served.live.handle(seen())
    reply = served.ask("/frame.jpg")
    assert reply.headers["content-type"] == "image/jpeg"
    assert reply.body.startswith(b"\xff\xd8\xff")


def read_until(connection: socket.socket, enough: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not enough(data):
        part = connection.recv(65536)
        assert part, data
        data += part
    return data


def test_the_stream_gives_frame_after_frame(serve: Serve) -> None:
    served = serve(camera=True)
    assert served.live is not None
    with served.connect() as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        served.live.handle(seen(0, "red"))
        first = read_until(connection, lambda data: data.endswith(b"\r\n--frame\r\n") and b"\xff\xd9" in data)
        assert b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n" in first
        served.live.handle(seen(1, "green"))
        second = read_until(connection, lambda data: data.endswith(b"\r\n--frame\r\n"))
    head, _, picture = second.partition(b"\r\n\r\n")
    length = int(head.rpartition(b" ")[2])
    assert picture[length:] == b"\r\n--frame\r\n"
    assert picture.startswith(b"\xff\xd8\xff")


def test_events(serve: Serve) -> None:
    served = serve(camera=True)
    assert served.live is not None
    served.live.handle(seen(3, "red"))
    with served.connect() as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = read_until(connection, lambda data: data.count(b"\n\n") >= 2)
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"text/event-stream" in head
        status, changes = (event.split(b"data: ", 1)[1] for event in body.split(b"\n\n")[:2])
        assert json.loads(status)["answer"]["labels"] == ["red"]
        assert [change["frame"] for change in json.loads(changes)] == [3]
        served.live.handle(seen(4, "green", changed=True))
        data = read_until(connection, lambda data: b"event: changes" in data and data.endswith(b"\n\n"))
        assert [c["frame"] for c in json.loads(data.rpartition(b"data: ")[2])] == [4, 3]


def test_as_many_viewers_as_allowed(serve: Serve) -> None:
    served = serve(camera=True, viewers=2)
    assert served.live is not None
    request = b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    viewers = [served.connect() for _ in range(2)]
    for viewer in viewers:
        viewer.sendall(request)
        read_until(viewer, lambda data: b"--frame\r\n" in data)
    assert served.ask("/status").json["viewers"] == {"now": 2, "most": 2}
    reply = served.send(request)
    assert reply.status == 503
    assert reply.json["error"] == "2 browsers watch already; --viewers allows more."
    viewers.pop().close()
    until = time.monotonic() + 20
    number = 0
    while served.ask("/status").json["viewers"]["now"] == 2:
        served.live.handle(seen(number := number + 1))  # one who has gone is noticed when the next picture is sent
        assert time.monotonic() < until
        time.sleep(0.02)
    with served.connect() as viewer:
        viewer.sendall(request)
        assert b"200 OK" in viewer.recv(1000)
    viewers.pop().close()


def test_a_viewer_who_does_not_read_holds_nobody_up(serve: Serve) -> None:
    served = serve(camera=True, stream_fps=60.0)
    assert served.live is not None
    with served.connect() as sleeper:
        sleeper.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for number in range(200):  # more than fits between the two
            noise = (bytes([number]) * 100_000) if number else b""
            served.live.handle(seen(number, picture=b"\xff\xd8\xff" + noise))
            if number % 20 == 0:
                time.sleep(0.05)
        with served.connect() as viewer:
            viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read_until(viewer, lambda data: bytes([199]) * 1000 in data)


# --- the token ---


def test_without_the_token_nothing_is_shown(serve: Serve, green: bytes) -> None:
    served = serve(token=TOKEN, camera=True)
    for path in ("/status", "/stream", "/events", "/frame.jpg", "/openapi.json", "/page.js", "/no"):
        reply = served.ask(path)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="runtime"'
    assert served.ask("/classify", "POST", green).status == 401
    page = served.ask("/")
    assert page.status == 401
    assert b"asks for the token" in page.body
    assert b"page.js" not in page.body
    assert b'role="alert" hidden' in page.body
    assert served.ask("/page.css").status == 200


def test_a_wrong_token_is_said_once(serve: Serve) -> None:
    served = serve(token=TOKEN)
    for _ in range(3):
        reply = served.ask("/?token=wrong")
        assert reply.status == 401
        assert b'role="alert">That is not the token' in reply.body
    assert served.log == ["page: a wrong token, from 127.0.0.1"]
    assert TOKEN not in reply.body.decode()


def test_the_right_token_becomes_a_cookie(serve: Serve) -> None:
    served = serve(token=TOKEN)
    reply = served.ask(f"/?token={TOKEN}")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert served.ask("/", Cookie=cookie.partition(";")[0]).status == 200
    assert served.ask("/status", Cookie=cookie.partition(";")[0]).status == 200


def test_the_token_for_programs(serve: Serve, green: bytes) -> None:
    served = serve(token=TOKEN)
    assert served.ask("/classify", "POST", green, Authorization=f"Bearer {TOKEN}").status == 200
    assert served.ask(f"/classify?token={TOKEN}", "POST", green).status == 200
    assert served.ask("/classify", "POST", green, Authorization="Bearer x").status == 401


# --- other web sites ---


def test_other_web_sites_get_nothing(serve: Serve, green: bytes) -> None:
    served = serve(camera=True)
    assert served.ask("/", Host="evil.example").status == 421
    assert served.ask("/", Host=None).status == 421  # type: ignore[arg-type]
    assert served.ask("/classify", "POST", green, Origin="http://evil.example").status == 403
    assert served.ask("/frame.jpg", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert served.ask("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    assert "access-control-allow-origin" not in served.ask("/").headers
    allowed = serve(allow_hosts=("pi.example.org",))
    assert allowed.ask("/", Host="pi.example.org").status == 200


def test_a_request_ends_its_connection(serve: Serve) -> None:
    with serve().connect() as connection:
        connection.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\nGET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(connection).count(b"HTTP/1.1") == 1
