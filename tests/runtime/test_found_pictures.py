"""What can be named to be classified: patterns, standard input, addresses."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from runtime.errors import ImageError, UsageError
from runtime.sources.files import found_pictures, picture_paths
from tests.runtime.conftest import COLOURS
from tests.runtime.mjpeg_server import jpeg

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.png", ["green.png", "red.png"]),
        ("./r*", ["red.png"]),
        ("*", ["deeper/blue.png", "green.png", "red.png"]),
        ("**/*.png", ["green.png", "red.png", "deeper/blue.png"]),
        ("**", ["deeper/blue.png", "green.png", "red.png"]),
        ("d*", ["deeper/blue.png"]),
        ("*/[ab]l?e.png", ["deeper/blue.png"]),
        ("deeper/../[gr]*.png", ["deeper/../green.png", "deeper/../red.png"]),
        ("*.txt", ["notes.txt"]),
    ],
)
def test_patterns_that_the_shell_has_left(
    pattern: str, found: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    Path("notes.txt").touch()
    Path(".hidden.png").touch()
    Path("up").symlink_to(".")  # a folder that holds itself
    if pattern in ("*", "**"):
        Path("up").unlink()
    assert list(picture_paths([pattern])) == found


def test_a_file_with_a_pattern_for_a_name_is_that_file(photos: Path) -> None:
    odd = photos / "[r]ed.png"
    (photos / "red.png").rename(odd)
    assert list(picture_paths([str(odd)])) == [str(odd)]
    with pytest.raises(UsageError, match=r"no pictures match .*x\*\.png$"):
        picture_paths([str(photos / "x*.png")])


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        picture = jpeg(COLOURS["green"])
        if kind == "hop":
            left = int(rest) - 1
            self._send(302, b"", Location=f"/hop/{left}" if left else "/picture")
        elif kind == "leads":
            self._send(302, b"", Location={"file": "file:///etc/passwd", "ftp": "ftp://127.0.0.1/x"}[rest])
        elif kind == "locked":
            import base64

            good = "Basic " + base64.b64encode("hans:größe".encode()).decode()
            if self.headers["Authorization"] == good:
                self._send(200, picture)
            else:
                self._send(401, b"", **{"WWW-Authenticate": 'Basic realm="camera"'})
        elif kind == "short":
            self._send(200, picture[:100], **{"Content-Length": str(len(picture))})
        elif kind == "large":
            self._send(200, b"x", **{"Content-Length": str(10**12)})
        elif kind == "endless":
            self._send(200, b"x" * 100_000, **{"Transfer": "none"})
        elif kind == "empty":
            self._send(200, b"")
        elif kind in ("picture", "bild%20%C3%A4.jpg?x=[1]"):
            self._send(200, picture)
        else:
            self._send(404, b"")

    def _send(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["picture", "hop/5", "bild ä.jpg?x=[1]"])
def test_a_picture_at_an_address(path: str, web: str) -> None:
    [found] = found_pictures([f"http://{web}/{path}"])
    assert found.read() == jpeg(COLOURS["green"])
    assert found.source == f"http://{web}/{path}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none", "the server answers 404 Not Found"),
        ("hop/6", "more than 5 redirects"),
        ("hop/100", "more than 5 redirects"),
        ("leads/file", "an address that is not http:// or https://"),
        ("leads/ftp", "no http:// or https:// address"),
        ("short", "cut short: 100 of [0-9]+ bytes came"),
        ("large", "1000000 MB, more than the limit of 0 MB"),
        ("endless", "more than the limit of 0 MB"),
        ("empty", "an empty answer"),
        ("locked", "asks for a name and a password"),
    ],
)
def test_addresses_that_give_none(path: str, message: str, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.files.MAX_FILE_BYTES", 50_000)
    [found] = found_pictures([f"http://{web}/{path}"])
    with pytest.raises(ImageError, match=message):
        found.read()


def test_a_password_opens_and_is_not_shown(web: str) -> None:
    [found] = found_pictures([f"http://hans:gr%C3%B6%C3%9Fe@{web}/locked"])
    assert found.read() == jpeg(COLOURS["green"])
    assert found.source == f"http://hans:...@{web}/locked"
    [found] = found_pictures([f"http://hans:secret@{web}/locked"])
    with pytest.raises(ImageError, match="asks for a name") as caught:
        found.read()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x/y.jpg", "file:///etc/passwd", "rtsp://x/y", "data://x"])
def test_other_schemes(url: str) -> None:
    with pytest.raises(UsageError, match="from http:// and https:// only"):
        found_pictures([url])


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://127.0.0.1:9/x", "http://x..y/", "http://127.0.0.1:x/"]
)
def test_addresses_that_cannot_be(url: str) -> None:
    [found] = found_pictures([url])
    with pytest.raises(ImageError, match="^http"):
        found.read()


def piped(data: bytes, colours: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    command = [
        sys.executable,
        "-m",
        "runtime",
        "classify",
        "-",
        *more,
        "--model",
        str(colours),
        "--json",
        "--top-k",
        "1",
    ]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)


def answers(done: subprocess.CompletedProcess[bytes]) -> list[tuple[str, int]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(line["source"], line["predictions"][0]["class_id"]) for line in lines]


def test_one_picture_of_any_format_on_standard_input(photos: Path, colours: Path) -> None:
    done = piped((photos / "green.png").read_bytes(), colours)
    assert (done.returncode, done.stderr, answers(done)) == (0, b"", [("-", 1)])


def test_a_stream_of_jpegs_on_standard_input(photos: Path, colours: Path) -> None:
    stream = b"".join(jpeg(COLOURS[name]) for name in ("red", "blue", "green"))
    done = piped(stream, colours, str(photos / "red.png"))
    assert done.returncode == 0
    assert answers(done) == [("-", 0), ("-#2", 2), ("-#3", 1), (str(photos / "red.png"), 0)]


def test_a_file_of_several_pictures_is_one(colours: Path, encoded: Callable[..., bytes]) -> None:
    several = encoded(Image.new("RGB", (40, 30), COLOURS["blue"]), "MPO", save_all=True,
                      append_images=[Image.new("RGB", (40, 30), COLOURS["red"])])  # fmt: skip
    done = piped(several, colours)
    assert (done.returncode, answers(done)) == (0, [("-", 2)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "-: nothing came on standard input"),
        (b"hello", "not a picture in a known format; it looks like a text file"),
        (jpeg(COLOURS["red"])[:400], "-: damaged picture"),
    ],
)
def test_no_picture_on_standard_input(data: bytes, message: str, colours: Path) -> None:
    done = piped(data, colours)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_standard_input_can_be_named_once() -> None:
    with pytest.raises(UsageError, match="- can be named once"):
        found_pictures(["-", "-"])


def test_jpegs_on_standard_input_as_a_camera(colours: Path) -> None:
    stream = b"junk" + jpeg(COLOURS["red"]) + jpeg(COLOURS["blue"])
    command = [sys.executable, "-m", "runtime", "classify", "--camera", "-", "--model", str(colours), "--json"]
    done = subprocess.run(command, input=stream, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert answers(done)[-1] == ("-", 2)  # the newest counts
    done = subprocess.run(command, input=b"junk", capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"--camera -: no JPEG picture in it" in done.stderr


def test_a_jpeg_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("runtime.sources.piped.MAX_FILE_BYTES", 1_000_000)
    (tmp_path / "endless").write_bytes(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xda\x00\x02" + b"a" * 3_000_000)
    with (tmp_path / "endless").open("rb") as file:
        monkeypatch.setattr("runtime.sources.piped.standard_input", file.fileno)
        (found,) = found_pictures(["-"])
        with pytest.raises(ImageError, match="more than the limit of 1 MB"):
            found.read()
