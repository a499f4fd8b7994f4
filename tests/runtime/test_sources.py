from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import SourceError, UsageError
from runtime.sources.files import picture_paths
from runtime.sources.frame import Frame
from runtime.sources.opencv import OpenCVSource
from tests.runtime.conftest import COLOURS

Run = Callable[..., subprocess.CompletedProcess[str]]


def camera_frames(camera: str) -> Iterator[Frame]:
    source = OpenCVSource(camera)
    try:
        while source.grab():
            yield source.retrieve()
    finally:
        source.close()


def test_files_as_named_and_folders_in_order(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    (photos / "deeper" / "notes.txt").touch()
    named = ["./red.png", "deeper/../green.png", "deeper/notes.txt"]
    assert list(picture_paths(named)) == named
    assert list(picture_paths(["."])) == ["deeper/blue.png", "green.png", "red.png"]
    assert list(picture_paths(["red.png", "deeper/"])) == ["red.png", "deeper/blue.png"]


def test_paths_that_hold_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    for name, message in (
        ("none", "no such file or folder: .*none$"),
        ("empty", "no pictures in the folder .*empty$"),
        ("two\nlines", r"no such file or folder: '.*two\\nlines'$"),
        ("x" * 300, "cannot read .*xxx: File name too long"),
    ):
        with pytest.raises(UsageError, match=message):
            picture_paths([str(tmp_path / name)])
    with pytest.raises(UsageError, match="no such file or folder: $"):
        picture_paths([""])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(photos: Path) -> None:
    (photos / "deeper").chmod(0)
    try:
        with pytest.raises(UsageError, match="cannot read .*deeper: Permission denied"):
            picture_paths([str(photos)])
    finally:
        (photos / "deeper").chmod(0o700)


def test_a_link_that_leads_nowhere_is_given_on(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert list(picture_paths([str(tmp_path / "loop.jpg")])) == [str(tmp_path / "loop.jpg")]


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four red frames, then four blue ones, as motion JPEG."""
    cv2 = pytest.importorskip("cv2")
    path = tmp_path_factory.mktemp("video") / "clip 花.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for colour in ["red"] * 4 + ["blue"] * 4:
        writer.write(np.full((48, 64, 3), COLOURS[colour][::-1], np.uint8))
    writer.release()
    return path


@pytest.fixture
def frames(tmp_path: Path) -> str:
    """An image sequence: red, green, blue."""
    (tmp_path / "frames").mkdir()
    for number, colour in enumerate(COLOURS.values()):
        Image.new("RGB", (64, 48), colour).save(tmp_path / "frames" / f"{number:03}.jpg", quality=95)
    return str(tmp_path / "frames" / "%03d.jpg")


def test_frames_have_their_colours_the_right_way_round(video: Path, frames: str) -> None:
    for source, colours in ((str(video), ["red"] * 4 + ["blue"] * 4), (frames, list(COLOURS))):
        made = list(camera_frames(source))
        assert len(made) == len(colours)
        for frame, colour in zip(made, colours, strict=True):
            assert frame.pixels().dtype == np.uint8
            assert frame.pixels().shape == (48, 64, 3)
            assert frame.decode_ms > 0
            assert np.abs(frame.pixels()[20, 30].astype(int) - COLOURS[colour]).max() < 12


def test_the_command_on_a_video(video: Path, colours: Path, run_module: Run) -> None:
    done = run_module("classify", "--camera", str(video), "--model", str(colours), "--json", "--top-k", "1")
    assert (done.returncode, done.stderr) == (0, f"--camera {video}: 8 frames looked at\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(answer["source"], answer["frame"]) for answer in answers] == [(str(video), n) for n in range(8)]
    assert [answer["predictions"][0]["class_id"] for answer in answers] == [0] * 4 + [2] * 4


def test_the_command_on_an_image_sequence(frames: str, colours: Path, run_module: Run) -> None:
    done = run_module("classify", "--camera", frames, "--model", str(colours), "--top-k", "1")
    assert (done.returncode, done.stderr) == (0, f"--camera {frames}: 3 frames looked at\n")
    shown = [line.split("  ")[-1] for line in done.stdout.splitlines()]
    assert [text.rpartition(" ")[0] for text in shown] == ["red", "緑 grün", "'two\\nlines'"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.mp4", b"", "empty.mp4: not a video that OpenCV can read"),
        ("text.mp4", b"hello\n", "text.mp4: not a video that OpenCV can read"),
        ("none.mp4", None, "none.mp4: no such file; a number, pi and test are cameras, too"),
        ("%03d.jpg", None, "%03d.jpg: no such pictures"),
        ("two\nlines.avi", None, "two\\nlines.avi': no such file"),
    ],
)
def test_what_cannot_be_opened_is_one_line(
    name: str, content: bytes | None, message: str, tmp_path: Path, colours: Path, run_module: Run
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run_module("classify", "--camera", str(tmp_path / name), "--model", str(colours))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("runtime: error: --camera ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [("pii", "pi"), ("tset", "test"), ("Test", "test"), ("clap.mp4", "clip.mp4"), ("sub/cilp.mp4", "sub/clip.mp4")],
)
def test_mistyped_names(name: str, meant: str, tmp_path: Path, colours: Path, run_module: Run) -> None:
    (tmp_path / "sub").mkdir()
    for place in ("clip.mp4", "sub/clip.mp4"):
        (tmp_path / place).touch()
    done = run_module("classify", "--camera", name, "--model", str(colours), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"runtime: error: --camera {name}: no such file; is {meant} meant?\n"


@pytest.mark.parametrize(("kind", "codec"), [("avi", "MJPG"), ("avi", "XVID"), ("mkv", "MJPG")])
def test_a_video_that_is_cut_short(kind: str, codec: str, tmp_path: Path, colours: Path, run_module: Run) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"whole.{kind}"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for number in range(40):
        writer.write(np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8))
    writer.release()
    whole = run_module("classify", "--camera", str(path), "--model", str(colours), "--json")
    assert (whole.returncode, whole.stderr) == (0, f"--camera {path}: 40 frames looked at\n")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = run_module("classify", "--camera", str(path), "--model", str(colours), "--json")
    count = len(done.stdout.splitlines())
    assert done.returncode == 0
    assert 0 < count < 35
    assert (
        f"--camera {path}: ended after {count} of the 40 frames that its header names; is it cut short?" in done.stderr
    )


class _OneMinute(http.server.BaseHTTPRequestHandler):
    """Two pictures of an MJPEG stream, then nothing: what a camera does that loses its power."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        encoded = io.BytesIO()
        Image.new("RGB", (64, 48), (255, 0, 0)).save(encoded, "JPEG")
        for _ in range(20):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + encoded.getvalue() + b"\r\n")

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_stream_that_breaks_off_is_an_error() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OneMinute) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames = camera_frames(f"http://127.0.0.1:{server.server_port}/stream.mjpg")
        assert next(frames).pixels().shape == (48, 64, 3)
        with pytest.raises(SourceError, match="fell silent after [0-9]+ frames"):
            list(frames)
        server.shutdown()


@pytest.mark.parametrize("camera", ["", "-1", "99999999999999999999", "http://127.0.0.1:9/x", "."])
def test_no_source_at_all(camera: str) -> None:
    with pytest.raises(SourceError, match="no such video file, or a stream that cannot be opened"):
        list(camera_frames(camera))


@pytest.mark.skipif(Path("/dev/video0").exists(), reason="there is a camera")
@pytest.mark.parametrize("camera", ["0", "/dev/video0", "/dev/v4l/by-id/none", "/dev/null"])
def test_no_camera(camera: str, colours: Path, run_module: Run) -> None:
    done = run_module("classify", "--camera", camera, "--model", str(colours))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"runtime: error: no camera {camera}: nothing can be opened as /dev/")
    assert done.stderr.count("\n") == 1


def test_without_opencv(device_python: Path, colours: Path, run_module: Run) -> None:
    done = run_module("classify", "--camera", "0", "--model", str(colours), python=device_python)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "runtime: error: --camera needs OpenCV, which is not installed: pip install 'edge-export-toolkit[camera]'\n"
    )
