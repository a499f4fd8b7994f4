"""What no browser would send: the server answers, or closes, and goes on."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.page.conftest import Reply, Served, read_all

Serve = Callable[..., Served]
HEAD = b"POST /classify HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 411),
        (b"Content-Length: 0\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: +3\r\n", 400),
        (b"Content-Length: 3, 4\r\n", 400),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"Content-Length: 0x10\r\n", 400),
        (b"Content-Length: \xb2\r\n", 400),
        (b"Content-Length: 99999999\r\n", 413),
        (b"Content-Length: 9999999999999999999999999999\r\n", 413),
        (b"Content-Length: " + b"9" * 5000 + b"\r\n", 413),
        (b"Host: evil.example\r\nContent-Length: 3\r\n", 400),
    ],
)
def test_lengths(serve: Serve, headers: bytes, status: int) -> None:
    assert serve().send(HEAD + headers + b"\r\nabc").status == status


def test_a_huge_body_is_refused_before_it_is_sent_and_the_answer_arrives(serve: Serve) -> None:
    served = serve(max_upload_bytes=100_000)
    reply = served.send(HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
    assert reply.status == 413
    assert reply.json["error"] == "The picture is too large; at most 0.1 MB."


def test_expect_100_continue(serve: Serve, green: bytes) -> None:
    served = serve()
    with served.connect() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(green))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(green)
        assert Reply(read_all(connection)).status == 200
    refused = served.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert refused.status == 413


def test_a_body_cut_short(serve: Serve) -> None:
    import socket

    with serve().connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        reply = Reply(read_all(connection))
    assert reply.status == 400
    assert reply.json["error"] == "The picture was cut short on its way."


def test_a_body_that_never_comes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.page.handler.BODY_SECONDS", 0.2)
    served = serve()
    with served.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        assert Reply(read_all(connection)).status == 408


def test_headers_that_trickle_in(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the whole never."""
    monkeypatch.setattr("runtime.page.exchange.HEADER_SECONDS", 0.4)
    with serve().connect() as connection:
        with contextlib.suppress(OSError):
            for byte in b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.02)
        assert read_all(connection) == b""


def test_headers_without_end(serve: Serve) -> None:
    served = serve()
    assert served.send(b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n").status in (0, 400, 414, 431)
    assert served.send(b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n").status in (0, 431)
    assert served.send(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n").status == 431
    assert served.ask("/status").status == 200


def test_those_who_only_connect_lose_their_places_to_those_who_ask(serve: Serve) -> None:
    served = serve(most=5)
    idle = [served.connect() for _ in range(12)]
    for connection in idle:
        connection.sendall(b"GET / HTTP/1.1\r\n")
    for _ in range(5):
        assert served.ask("/status").status == 200
    for connection in idle:
        connection.close()


def test_those_without_the_token_lose_their_places_to_those_who_have_it(serve: Serve) -> None:
    served = serve(most=3, token="a-token-that-is-long")
    strangers = [served.connect() for _ in range(3)]
    for stranger in strangers:  # answered, and then kept open by what they still send
        stranger.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        assert b" 401 " in stranger.recv(1000)
    assert served.ask("/status?token=a-token-that-is-long").status == 200
    for stranger in strangers:
        stranger.close()


def test_more_connections_than_places(serve: Serve) -> None:
    served = serve(most=2, camera=True)
    viewers = [served.connect() for _ in range(2)]
    for viewer in viewers:
        viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(1000)
    with served.connect() as connection:
        assert Reply(read_all(connection)).status == 503
    for viewer in viewers:
        viewer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1 HTTP/1.1\r\n\r\n",
        b"GET / FTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /?" + b"a&" * 500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /?token=%ff%fe%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"=;" * 2000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: \xff\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n : \r\n\r\n",
    ],
)
def test_nonsense(serve: Serve, request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.page.exchange.HEADER_SECONDS", 0.3)
    served = serve(token="a-token-that-is-long")
    assert served.send(request_).status in (0, 400, 401, 403, 421, 505)
    assert served.ask("/page.css").status == 200
    assert not [line for line in served.log if "failed" in line]


def test_mutated_requests(serve: Serve, green: bytes) -> None:
    """Seeded changes to a good request: each gets an answer or is closed, and none brings the server down."""
    served = serve()
    good = HEAD + b"Content-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(green) + green
    chance = random.Random(5)
    statuses = set()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            action = chance.randrange(3)
            if action == 0:
                data[place] = chance.randrange(256)
            elif action == 1:
                del data[place : place + chance.randint(1, 20)]
            else:
                data[place:place] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 5)))
        statuses.add(_send_and_end(served, bytes(data)))
    assert statuses <= {0, 200, 400, 404, 405, 411, 413, 415, 421, 422, 431, 505}
    assert not [line for line in served.log if "failed" in line]
    assert served.ask("/classify", "POST", green).status == 200


def _send_and_end(served: Served, data: bytes) -> Any:
    import socket

    with served.connect() as connection:
        connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        return Reply(read_all(connection)).status
