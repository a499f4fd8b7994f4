"""toolkit.download against a real server on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runtime.errors import DataError
from toolkit import download
from toolkit.download import fetch

CONTENT = bytes(range(256)) * 8192  # 2 MiB
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5_HEADER = "crc32c=AAAAAA==,md5=" + base64.b64encode(hashlib.md5(CONTENT).digest()).decode()


@dataclass
class Server:
    """What the server does, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    failures: int = 0  # so many answers are 503
    cuts: list[int] = field(default_factory=list)  # each request is broken off after so many bytes
    send_length: bool = True
    location: str = ""
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        plan: Server = self.server.plan  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        plan.asked.append(wanted)
        if plan.location:
            self.send_response(302)
            self.send_header("Location", plan.location)
            self.end_headers()
        elif plan.failures or plan.status != 200:
            plan.failures -= bool(plan.failures)
            self.send_error(plan.status if plan.status != 200 else 503)
        else:
            self.send_content(plan, wanted)

    def send_content(self, plan: Server, wanted: str | None) -> None:
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and plan.ranges else 0
        if start >= len(plan.content) > 0:
            self.send_error(416)
            return
        body = plan.content[start:]
        self.send_response(206 if start else 200)
        if start:
            begins = start + 1 if plan.wrong_range else start
            self.send_header("Content-Range", f"bytes {begins}-{len(plan.content) - 1}/{len(plan.content)}")
        if plan.send_length:
            self.send_header("Content-Length", str(len(body)))
        for name, value in plan.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # a client that has seen enough hangs up
            self.wfile.write(body[: plan.cuts.pop(0)] if plan.cuts else body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "RETRY_PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    plan = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.plan = plan  # type: ignore[attr-defined]
        plan.url = f"http://127.0.0.1:{httpd.server_address[1]}/file.bin"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield plan
        httpd.shutdown()
        thread.join()


def get(server: Server, path: Path, checksum: str | None = SHA256, **options: int) -> Path:
    return fetch(server.url, path, checksum=checksum, description="test file", **options)


def test_downloads_into_a_new_folder(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.bin"
    assert get(server, path) == path
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]
    assert server.asked == [None]


def test_shows_progress_in_bytes(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    get(server, tmp_path / "file.bin")
    assert "test file: 100%" in capsys.readouterr().err


def test_present_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    path = get(server, tmp_path / "file.bin")
    before = path.stat()
    assert get(server, path, SHA256.upper().replace("SHA256", "sha256")) == path
    assert get(server, path, None) == path
    assert path.stat() == before
    assert len(server.asked) == 1


def test_present_file_with_another_checksum_is_replaced(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    get(server, path)
    assert path.read_bytes() == CONTENT


def test_wrong_present_file_stays_when_the_download_fails(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    server.status = 404
    with pytest.raises(DataError, match="another checksum"):
        get(server, path)
    assert path.read_bytes() == b"old"


def test_broken_off_transfer_goes_on(server: Server, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 500_000]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_broken_off_without_range_support_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cuts = [1_000_000]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-"]


def test_next_call_goes_on_where_the_last_one_gave_up(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    server.cuts = [1000] * download.MAX_ATTEMPTS
    with pytest.raises(DataError, match="broke off after 5000 of 2097152 bytes") as caught:
        get(server, path)
    assert not path.exists()
    assert str(path) in str(caught.value)
    assert get(server, path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=5000-"


@pytest.mark.parametrize("leftover", [b"x" * 10, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 9)])
def test_leftover_of_another_file_does_no_harm(server: Server, tmp_path: Path, leftover: bytes) -> None:
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(leftover)
    assert get(server, path).read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_answer_with_another_range_starts_again(server: Server, tmp_path: Path) -> None:
    server.wrong_range = True
    server.cuts = [1000]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", None]


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.failures = 2
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT


def test_wrong_checksum_deletes_and_says_both(server: Server, tmp_path: Path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(DataError) as caught:
        get(server, tmp_path / "file.bin", wrong)
    assert f"expected {wrong}, received {SHA256}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_given_checksum_kinds(server: Server, tmp_path: Path, algorithm: str) -> None:
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    assert get(server, tmp_path / "file.bin", checksum).exists()


@pytest.mark.parametrize("bad", ["", "sha256:", "sha256:12", "md5:" + "g" * 32, "crc32:00000000", "0" * 64])
def test_malformed_checksum(server: Server, tmp_path: Path, bad: str) -> None:
    with pytest.raises(DataError, match="not a checksum"):
        get(server, tmp_path / "file.bin", bad)
    assert server.asked == []


def test_the_servers_own_checksum(server: Server, tmp_path: Path) -> None:
    server.headers = {"x-goog-hash": MD5_HEADER}
    assert get(server, tmp_path / "file.bin", None).read_bytes() == CONTENT


def test_the_servers_own_checksum_does_not_match(server: Server, tmp_path: Path) -> None:
    server.headers = {"x-goog-hash": MD5_HEADER}
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match="expected md5:"):
        get(server, tmp_path / "file.bin", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("header", [None, "crc32c=AAAAAA==", "md5=", "md5=!!!!", "md5=AAAA"])
def test_no_checksum_at_all_is_refused(server: Server, tmp_path: Path, header: str | None) -> None:
    server.headers = {"x-goog-hash": header} if header else {}
    with pytest.raises(DataError, match="no checksum is known"):
        get(server, tmp_path / "file.bin", None)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_one_line(server: Server, tmp_path: Path) -> None:
    server.status = 404
    path = tmp_path / "file.bin"
    with pytest.raises(DataError) as caught:
        get(server, path)
    assert str(caught.value) == (
        f"cannot download {server.url}: the server answered 404 Not Found; try again, or put the file at {path}"
    )
    assert len(server.asked) == 1


def test_no_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot download http://127.0.0.1:9/x: .*refused; .* put the file at"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", checksum=SHA256, description="x")


@pytest.mark.parametrize("send_length", [True, False])
def test_too_large(server: Server, tmp_path: Path, send_length: bool) -> None:
    server.send_length = send_length
    with pytest.raises(DataError, match="the limit is 1000000"):
        get(server, tmp_path / "file.bin", max_bytes=1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_exactly_the_limit_without_length(server: Server, tmp_path: Path) -> None:
    server.send_length = False
    assert get(server, tmp_path / "file.bin", max_bytes=len(CONTENT)).read_bytes() == CONTENT


def test_empty_file(server: Server, tmp_path: Path) -> None:
    server.content = b""
    path = get(server, tmp_path / "file.bin", "sha256:" + hashlib.sha256(b"").hexdigest())
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "url",
    ["http://example.com/x", "ftp://example.com/x", "file:///etc/passwd", "example.com", "", "https:///x"],
)
def test_only_https(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match="only https"):
        fetch(url, tmp_path / "x", checksum=SHA256, description="x")


@pytest.mark.parametrize("location", ["http://example.com/x", "ftp://example.com/x", "file:///etc/passwd"])
def test_redirect_must_be_safe_too(server: Server, tmp_path: Path, location: str) -> None:
    server.location = location
    with pytest.raises(DataError, match="refused to download|not allowed"):
        get(server, tmp_path / "file.bin")


def test_destination_is_a_folder(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a folder of that name"):
        get(server, tmp_path)


def test_destination_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot write"):
        get(server, tmp_path / "file" / "file.bin")
