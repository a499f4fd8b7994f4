"""Sources that are pulled away and brought back, and signals while they hang: with real processes."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
Start = Callable[..., "Process"]
_LONG = 30.0


class Process:
    """A process, and the lines of both its streams as they come."""

    def __init__(self, *command: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._popen = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.out: queue.Queue[str] = queue.Queue()
        self.err: queue.Queue[str] = queue.Queue()
        self._readers = [self._read(self._popen.stdout, self.out), self._read(self._popen.stderr, self.err)]

    def _read(self, stream: Any, into: queue.Queue[str]) -> threading.Thread:
        thread = threading.Thread(target=lambda: [into.put(line) for line in stream], daemon=True)
        thread.start()
        return thread

    def answers(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(self.out.get(timeout=_LONG)) for _ in range(count)]

    def says(self, text: str) -> None:
        """Wait until it logs a line with this in it."""
        while text not in self.err.get(timeout=_LONG):
            pass

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit code. That no thread waits for the source's timeout, a minute, shows in the time."""
        self._popen.send_signal(number)
        code = self._popen.wait(timeout=_LONG)
        for thread in self._readers:
            thread.join()
        return code

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for thread in self._readers:
            thread.join()
        self._popen.__exit__(None, None, None)


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Process] = []

    def begin(*command: str) -> Process:
        running.append(Process(*command))
        return running[-1]

    yield begin
    for process in running:
        process.kill()


@pytest.fixture
def serve(start: Start) -> Callable[..., tuple[Process, str]]:
    """A function that starts a camera's server; its process and its port."""

    def begin(mode: str, port: str = "0") -> tuple[Process, str]:
        process = start("-m", "tests.runtime.mjpeg_server", port, mode)
        return process, process.out.get(timeout=_LONG).strip()

    return begin


def watching(start: Start, camera: str, model: Path, *options: str) -> Process:
    return start("-m", "runtime", "classify", "--camera", camera, "--model", str(model), "--json", *options)


def test_a_server_that_dies_and_one_that_stalls(start: Start, serve: Any, colours: Path) -> None:
    server, port = serve("steady")
    watcher = watching(start, f"http://127.0.0.1:{port}/", colours, "--camera-timeout", "1.5")
    before = watcher.answers(5)
    server.kill()
    watcher.says("opening it again")
    watcher.says("cannot be reached: Connection refused")
    server, _ = serve("stall", port)
    watcher.says("back after")
    watcher.says("the stream stays silent for 1.5 s; opening it again")
    server.kill()
    serve("steady", port)
    watcher.says("back after")
    while not watcher.out.empty():
        before.append(json.loads(watcher.out.get()))
    after = watcher.answers(5)
    numbers = [answer["frame"] for answer in before + after]
    assert numbers == sorted(set(numbers))
    assert watcher.end() == 0
    watcher.says(" outages")


def test_a_file_that_is_renamed_and_comes_back(start: Start, colours: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path, away = tmp_path / "clip.avi", tmp_path / "away.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for number in range(10):
        writer.write(cv2.merge([cv2.UMat(48, 64, cv2.CV_8U, float(25 * number)).get()] * 3))
    writer.release()
    watcher = watching(start, str(path), colours, "--loop", "--realtime")
    assert len(watcher.answers(15)) == 15  # longer than it is
    path.rename(away)
    watcher.says("no such file")
    away.rename(path)
    watcher.says("back after")
    watcher.answers(15)
    assert watcher.end() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", ["stream.mjpg", "silent"])
def test_signals_while_a_camera_hangs(path: str, number: int, start: Start, serve: Any, colours: Path) -> None:
    _, port = serve("stall")
    watcher = watching(start, f"http://127.0.0.1:{port}/{path}", colours, "--camera-timeout", "60")
    if path == "stream.mjpg":
        watcher.answers(5)
    else:
        time.sleep(1.5)  # there is no sign of its waiting
    assert watcher.end(number) in (0, 130, 143)
    lines = [watcher.err.get() for _ in range(watcher.err.qsize())]
    assert not any("Traceback" in line for line in lines)


def test_opencv_comes_back_while_python_ends(start: Start, serve: Any, colours: Path, tmp_path: Path) -> None:
    """A thread that is within C++ code then would abort the process; of those here it happened to one in three."""
    pytest.importorskip("cv2")
    _, port = serve("slow")  # its frames come just later than what is waited for at the end
    script = tmp_path / "watch.py"
    script.write_text(
        "import runtime.sources.http\n"
        "runtime.sources.http.open_http_camera = lambda *_: None\n"  # OpenCV shall have it
        "from runtime.__main__ import main\n"
        "raise SystemExit(main())\n"
    )
    address = f"http://127.0.0.1:{port}/stream.mjpg"
    command = (str(script), "classify", "--camera", address, "--model", str(colours), "--json")
    watchers = [start(*command) for _ in range(6)]
    for number, watcher in enumerate(watchers):
        watcher.answers(1)
        time.sleep(0.01 * number)
    assert [watcher.end() for watcher in watchers] == [0] * 6


def test_signals_while_opencv_hangs(start: Start, serve: Any, tmp_path: Path) -> None:
    """In code of FFmpeg, which no signal reaches: its thread is left behind."""
    pytest.importorskip("cv2")
    _, port = serve("stall")
    script = tmp_path / "watch.py"
    script.write_text(
        "import sys\n"
        "from runtime.sources.capture import Capture\n"
        "from runtime.sources.opencv import OpenCVSource\n"
        "frames = Capture(lambda: OpenCVSource(sys.argv[1], timeout=60.0), lambda frame: frame.number)\n"
        "try:\n"
        "    for frame, number in frames:\n"
        "        print(number)\n"
        "except KeyboardInterrupt:\n"
        "    frames.close()\n"
    )
    watcher = start(str(script), f"http://127.0.0.1:{port}/stream.mjpg")
    while watcher.out.get(timeout=_LONG).strip() != "8":
        pass
    time.sleep(0.2)
    assert watcher.end() == 0
    assert watcher.err.empty()
