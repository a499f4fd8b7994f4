"""``runtime serve`` as a process: what it prints, how it ends, and what it shows of a camera that is a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.metadata import add_metadata
from tests.conftest import ROOT
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

Start = Callable[..., "Running"]
Run = Callable[..., subprocess.CompletedProcess[str]]


class Running:
    """A page served by a process of its own.

    Args:
        arguments: of ``runtime serve``.
        more: variables of its environment.
    """

    def __init__(self, *arguments: str, **more: str) -> None:
        command = [sys.executable, "-m", "runtime.cli", "serve", "--port", "0", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | more
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, encoding="utf-8", **pipes)
        assert self.process.stderr is not None
        self.log = [self.process.stderr.readline()]
        while self.log[-1] and not self.log[-1].startswith("page: http"):
            self.log.append(self.process.stderr.readline())
        self.url = self.log[-1].split()[1] if self.log[-1] else ""
        self.base, _, query = self.url.partition("?")
        self.token = query.partition("=")[2]
        self.base = self.base.replace("//" + self.base.split("/")[2].rpartition(":")[0], "//127.0.0.1")

    def get(self, path: str, data: bytes | None = None, **headers: str) -> Any:
        """The JSON of an answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            sent["Content-Type"] = "image/png"
        request = urllib.request.Request(self.base + path, data, sent)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def status_when(self, true: Callable[[Any], bool]) -> Any:
        """The status, as soon as something is true of it."""
        until = time.monotonic() + 20
        while not true(status := self.get("status")):
            assert time.monotonic() < until, status
            time.sleep(0.05)
        return status

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code, standard output, and what more was logged."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=20)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return code, self.process.stdout.read(), self.process.stderr.read()


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts ``runtime serve``."""
    started: list[Running] = []

    def run(*arguments: str, **more: str) -> Running:
        started.append(Running(*arguments, **more))
        return started[-1]

    yield run
    for running in started:
        running.process.kill()
        running.process.__exit__(None, None, None)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Red, then green: 25 frames of each, 50 a second."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 50, (64, 48))
    for number in range(50):
        writer.write(np.full((48, 64, 3), (0, 0, 255) if number < 25 else (0, 255, 0), np.uint8))
    writer.release()
    return path


def test_posted_pictures_without_a_camera(start: Start, colours: Path, green: bytes) -> None:
    running = start("--model", str(colours))
    assert running.log == [f"page: {running.url} (this machine alone)\n"]
    assert running.get("status")["camera"] is None
    assert running.get("classify?name=a.png", green)["labels"] == ["緑 grün"]
    assert running.end() == (0, "", "")


def test_a_film_is_played_and_its_end_stays(start: Start, colours: Path, film: Path, green: bytes) -> None:
    running = start("--model", str(colours), "--camera", str(film), "--top-k", "2")
    status = running.status_when(lambda status: bool(status["ended"]))
    assert status["camera"] == str(film)
    assert status["answer"]["labels"] == ["緑 grün"]
    assert len(status["answer"]["predictions"]) == 2
    assert status["changes"] == 2
    assert 10 < status["frames_per_second"] <= 75
    assert running.get("classify", green)["labels"] == ["緑 grün"]
    code, out, err = running.end(signal.SIGINT)
    assert code == 0
    assert [line.split("  ", 1)[1].split()[0] for line in out.splitlines()] == ["red", "緑"]
    assert err.endswith("page: the source has ended; its last picture stays, and pictures can be posted\n")


def test_sigterm_in_the_middle_of_it(start: Start, colours: Path, film: Path) -> None:
    running = start("--model", str(colours), "--camera", str(film), "--json")
    with socket.create_connection(("127.0.0.1", int(running.base.rpartition(":")[2].strip("/")))) as viewer:
        viewer.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert viewer.recv(100)
        running.status_when(lambda status: status["answer"] is not None)
        code, out, err = running.end()
    assert code == 0
    assert "Traceback" not in err
    assert all(json.loads(line)["labels"] for line in out.splitlines())


def test_off_the_loopback_a_token_is_demanded(start: Start, colours: Path) -> None:
    running = start("--model", str(colours), "--host", "0.0.0.0")
    assert len(running.token) == 22
    with pytest.raises(urllib.error.HTTPError) as refused:
        running.get("status")
    assert refused.value.code == 401
    refused.value.close()
    assert running.get("status", Authorization=f"Bearer {running.token}")["classes"] == 3
    code, _, err = running.end()
    assert code == 0
    assert "shown only now" in err
    assert "plain HTTP" in err


def test_a_token_of_ones_own(start: Start, colours: Path, tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = start("--model", str(colours), "--token-file", str(path))
    token = path.read_text().strip()
    assert token not in "".join(first.log)
    assert f"(a new token is in {path})" in first.log[-1]
    assert first.get(f"status?token={token}")["classes"] == 3
    assert first.end()[0] == 0
    second = start("--model", str(colours), "--token-file", str(path), "--host", "0.0.0.0")
    assert f"(the token is in {path})" in second.log[-1]
    assert second.get(f"status?token={token}")["classes"] == 3


def test_a_taken_port(colours: Path, run_module: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = run_module("serve", "--model", str(colours), "--port", port)
    assert done.returncode == 1
    expected = "taken by another program; stop that, or choose another port (0 takes any free one)"
    assert done.stderr == f"runtime: error: --port {port}: {expected}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port must be 0 to 65535, not 65536"),
        (["--port", "x"], "--port: must be a whole number; got 'x'; see runtime serve --help"),
        (["--viewers", "0"], "--viewers must be 1 to 100, not 0"),
        (["--stream-fps", "nan"], "--stream-fps must be 0.1 to 60, not nan"),
        (["--max-upload", "0"], "--max-upload must be 0.001 to 256 (megabytes), not 0"),
        (["--max-megapixels", "90"], "--max-megapixels must be 0.001 to 89, not 90"),
        (
            ["--allow-host", "http://pi/"],
            "--allow-host must be a host name alone, like pi.example.org, not 'http://pi/'",
        ),
        (["--json"], "outputs are for the answers of a camera: name one with --camera, or leave them out"),
        (["--fps", "5"], "--fps needs --camera"),
    ],
)
def test_wrong_usage(run_module: Run, arguments: list[str], message: str) -> None:
    done = run_module("serve", *arguments)
    assert done.returncode == 2
    assert done.stderr.removeprefix("runtime: error: ").removeprefix("runtime serve: error: ") == message + "\n"


def test_a_camera_that_is_not_there(colours: Path, run_module: Run, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    done = run_module("serve", "--model", str(colours), "--port", "0", "--camera", str(tmp_path / "no.mp4"))
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_moving_pattern_needs_no_opencv(start: Start, colours: Path) -> None:
    running = start("--model", str(colours), "--camera", "test", "--fps", "20")
    status = running.status_when(lambda status: status["answer"] is not None)
    assert status["camera"] == "test"
    assert not status["ended"]
    assert running.end()[0] == 0


def test_a_film_that_begins_again(start: Start, colours: Path, film: Path) -> None:
    running = start("--model", str(colours), "--camera", str(film), "--loop")
    status = running.status_when(lambda status: status["changes"] >= 3)
    assert not status["ended"]
    assert running.end()[0] == 0


def test_another_model_takes_the_place_of_the_one_in_use(start: Start, colours: Path, green: bytes) -> None:
    running = start("--model", str(colours), "--camera", "test")
    colours.write_bytes(b"no model")
    status = running.status_when(lambda status: "refused" in str(status["note"]))
    assert status["classes"] == 3
    other = colours.with_name("other.tflite")
    spec = spec_of("rot", "grün", "blau")
    other.write_bytes(add_metadata(mean_colour_model(then="SOFTMAX"), spec))
    other.replace(colours)
    running.status_when(lambda status: "is in use" in str(status["note"]))
    assert running.get("classify", green)["labels"] == ["grün"]
    running.status_when(lambda status: set(status["answer"]["labels"]) <= {"rot", "grün", "blau"})
    assert running.end()[0] == 0


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_systemd_hears_of_the_end_when_the_page_ends_not_when_its_film_does(
    start: Start, colours: Path, film: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.5)
        running = start("--model", str(colours), "--camera", str(film), NOTIFY_SOCKET=str(tmp_path / "notify"))
        running.status_when(lambda status: bool(status["ended"]))
        heard = _hear(manager, lambda line: "pictures can be posted" in line)
        assert heard[0].startswith("READY=1\nSTATUS=watching ")
        assert not any("STOPPING" in line for line in heard)
        assert running.end()[0] == 0
        assert _hear(manager, lambda line: "STOPPING" in line) == ["STOPPING=1"]


def _hear(manager: socket.socket, last: Callable[[str], bool]) -> list[str]:
    lines = [""]
    while not last(lines[-1]):
        lines.append(manager.recv(4096).decode())
    return lines[1:]
