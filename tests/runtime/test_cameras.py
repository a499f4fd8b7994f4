"""Cameras that need no device and no OpenCV, how frames are turned and cropped, and what can be asked for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.cli import main
from runtime.errors import ImageError, SourceError, UsageError
from runtime.sources.frame import FrameSource
from runtime.sources.http import open_http_camera
from runtime.sources.kinds import camera_kind, without_password
from runtime.sources.open import CameraOptions, opener
from runtime.sources.outages import Outages
from runtime.sources.pattern import SHAPES, PatternSource
from runtime.sources.sequence import SequenceSource
from runtime.sources.view import Roi, View
from tests.runtime.conftest import COLOURS
from tests.runtime.mjpeg_server import Server

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("camera", "kind"),
    [
        ("0", "device"),
        ("/dev/video2", "device"),
        ("/dev/v4l/by-id/usb-Webcam-video-index0", "device"),
        ("pi", "pi"),
        ("pi:1", "pi"),
        ("./pi", "file"),
        ("test", "test"),
        ("./test", "file"),
        ("-", "stdin"),
        ("rtsp://host/live", "stream"),
        ("HTTP://host/stream.mjpg", "http"),
        ("https://host/x.mp4?download=1", "file"),
        ("clip.mp4", "file"),
        ("frames/%05d.jpg", "sequence"),
        ("frames/%d.png", "sequence"),
        ("odd%dir/clip.mp4", "file"),
        ("", "file"),
    ],
)
def test_what_a_camera_is_called(camera: str, kind: str) -> None:
    assert camera_kind(camera) == kind


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:se@cret@host:554/a@b") == "rtsp://me:...@host:554/a@b"
    assert without_password("http://host/x:y@z") == "http://host/x:y@z"
    assert without_password("me:secret@file.mp4") == "me:secret@file.mp4"
    assert without_password("http://key@host/x") == "http://...@host/x"
    assert without_password("http://host/x?user=me&pwd=s/e@c&size=3") == "http://host/x?user=me&pwd=...&size=3"
    assert without_password("http://host/photo.php?id=3") == "http://host/photo.php?id=3"


def test_a_camera_that_comes_and_goes_does_not_fill_the_log() -> None:
    said: list[str] = []
    outages = Outages(said.append)
    pauses = []
    for _ in range(100):
        pauses.append(outages.pause_after(SourceError("gone")))
        outages.over("cam")
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == 30.0
    assert outages.count == 100
    assert len(said) < 20


def test_the_pattern_is_the_same_each_time_and_moves() -> None:
    one, two = PatternSource((320, 240)), PatternSource((320, 240))
    assert (one.draw(7) == two.draw(7)).all()
    assert (one.draw(7) != one.draw(8)).any()
    for shape, (_, colour) in enumerate(SHAPES):
        for number in (0, 30, 59):
            pixels = one.draw(shape * 60 + number)
            assert pixels.shape == (240, 320, 3)
            share = (pixels == colour).all(axis=2).mean()
            assert 0.05 < share < 0.3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Numbered pictures from 8 to 11, the third one damaged."""
    for number, colour in zip(range(8, 12), ["red", "green", "blue", "red"], strict=True):
        Image.new("RGB", (20, 10), COLOURS[colour]).save(tmp_path / f"100% {number:03}.jpg", quality=95)
    (tmp_path / "100% 010.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "100% 7.jpg").touch()
    return tmp_path


def test_numbered_pictures(folder: Path) -> None:
    source = SequenceSource(str(folder / "100% %03d.jpg"))
    seen = []
    while source.grab():
        try:
            seen.append(source.retrieve())
        except ImageError:
            continue
    assert [frame.number for frame in seen] == [0, 1, 3]
    assert seen[1].encoded == (folder / "100% 009.jpg").read_bytes()
    assert np.abs(seen[1].pixels()[5, 5].astype(int) - COLOURS["green"]).max() < 9
    for name in ("%03d.png", "none/%03d.jpg"):
        with pytest.raises(SourceError, match="no such pictures"):
            SequenceSource(str(folder / name))


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [False, True])
def test_turned_then_mirrored_then_cropped(rotate: Any, mirror: bool, pixels: NDArray[np.uint8]) -> None:
    expected = Image.fromarray(pixels).rotate(-rotate, expand=True)
    if mirror:
        expected = expected.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert (View(rotate, mirror).pixels(pixels) == np.asarray(expected)).all()
    cropped = View(rotate, mirror, Roi(3, 4, 20, 10)).pixels(pixels)
    assert (cropped == np.asarray(expected.crop((3, 4, 23, 14)))).all()
    assert cropped.flags.c_contiguous


def test_a_part_of_the_frame() -> None:
    assert Roi(0.25, 0.5, 0.5, 0.5, fractions=True).box(80, 48) == (20, 24, 60, 48)
    assert Roi(0.0, 0.0, 0.001, 1.0, fractions=True).box(80, 48) == (0, 0, 1, 48)
    assert Roi(70, 40, 10, 8).box(80, 48) == (70, 40, 80, 48)
    with pytest.raises(UsageError, match="--roi 70,40,11,8 reaches beyond the picture, which is 80 x 48 pixels"):
        Roi(70, 40, 11, 8).box(80, 48)


def test_the_command_sees_a_part(folder: Path, colours: Path, run_module: Run) -> None:
    canvas = Image.new("RGB", (40, 20), COLOURS["red"])
    canvas.paste(COLOURS["blue"], (0, 0, 10, 10))
    canvas.save(folder / "8.png")
    command = ["classify", "--camera", str(folder / "%d.png"), "--model", str(colours), "--json", "--top-k", "1"]
    seen = []
    for more in ([], ["--roi", "0,0,10,10"], ["--roi", "0.0,0.0,.25,.5"], ["--rotate", "180", "--roi", "30,10,10,10"],
                 ["--mirror", "--roi", "0,0,10,10"], ["--rotate", "90", "--roi", "10,0,10,10"]):  # fmt: skip
        done = run_module(*command, *more)
        seen.append(json.loads(done.stdout)["predictions"][0]["class_id"])
    assert seen == [0, 2, 2, 2, 0, 2]
    done = run_module(*command, "--roi", "30,0,20,20")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--roi 30,0,20,20 reaches beyond the picture, which is 40 x 20 pixels" in done.stderr


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(getattr(request, "param", "steady")) as running:
        yield running
        running.shutdown()


def opened(server: Server, path: str = "/stream.mjpg", timeout: float = 5.0) -> FrameSource:
    source = open_http_camera(f"http://127.0.0.1:{server.server_port}{path}", 50.0, timeout)
    assert source is not None
    return source


def test_a_stream_without_opencv(server: Server) -> None:
    source = opened(server)
    for _ in range(3):
        assert source.grab()
        frame = source.retrieve()
        assert frame.encoded is not None
        assert frame.encoded.startswith(b"\xff\xd8")
        colour = list(COLOURS.values())[frame.number % 3]
        assert np.abs(frame.pixels()[20, 30].astype(int) - colour).max() < 12
    source.close()
    source.close()
    assert not source.grab()


@pytest.mark.parametrize("server", ["ends"], indirect=True)
def test_a_stream_that_ends(server: Server) -> None:
    source = opened(server)
    with pytest.raises(SourceError, match="the stream ended after 10 frames"):
        while source.grab():
            pass
    source.close()


@pytest.mark.parametrize("server", ["stall"], indirect=True)
def test_a_stream_that_falls_silent(server: Server) -> None:
    source = opened(server, timeout=0.3)
    with pytest.raises(SourceError, match="the stream stays silent for 0.3 s"):
        while source.grab():
            pass
    source.close()


@pytest.mark.parametrize("server", ["damaged"], indirect=True)
def test_damaged_pictures_of_a_stream(server: Server) -> None:
    source = opened(server)
    good = bad = 0
    while (good < 4 or bad < 3) and source.grab():
        try:
            source.retrieve()
            good += 1
        except ImageError as error:
            assert "frame" in str(error)
            bad += 1
    source.close()
    assert good >= 4
    assert bad >= 3


def test_a_picture_that_is_fetched_again_and_again(server: Server) -> None:
    source = opened(server, "/still.jpg")
    assert [source.grab() and source.retrieve().number for _ in range(3)] == [0, 1, 2]
    source.close()
    assert not source.grab()


@pytest.mark.parametrize(
    ("path", "message"), [("/page", "gives text/html, which is no video"), ("/silent", "stays silent")]
)
def test_addresses_that_are_no_cameras(path: str, message: str, server: Server) -> None:
    with pytest.raises(SourceError, match=message):
        opened(server, path, timeout=0.3)


def test_what_is_opened_is_told_once() -> None:
    opens = opener(CameraOptions("test", size=(64, 48), rotate=90))
    source = opens()
    assert source.grab()
    assert source.retrieve().pixels().shape == (64, 48, 3)
    source.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps", "0"], "--fps must be above 0 and at most 1000, not 0"),
        (["--fps", "nan"], "--fps must be above 0"),
        (["--every", "0"], "--every must be 0.001 to 86400 seconds, not 0"),
        (["--every", "2", "--fps", "1"], "--fps and --every say the same in two ways"),
        (["--size", "640"], "--size must be width x height in pixels, as 640x480, 16 to 16384 each; got '640'"),
        (["--size", "0x0"], "--size must be width x height"),
        (["--pixel-format", "é"], "--pixel-format must be four letters, as MJPG or YUYV; got 'é'"),
        (["--camera-fps", "-3"], "--camera-fps must be above 0"),
        (["--camera-timeout", "0"], "--camera-timeout must be 0.5 to 3600 seconds, not 0"),
        (["--rotate", "45"], "--rotate: must be one of 0, 90, 180, 270; got "),
        (["--roi", "1,2,3"], "--roi must be left,top,width,height in pixels"),
        (["--roi", "0.5,0.5,0.6,0.1"], "--roi must be left,top,width,height"),
        (["--roi", "0,0,1,1"], "--roi 0,0,1,1: pixels or fractions? Fractions have decimal points (0.0,0.0,1.0,1.0 is"),
        (["--roi=-1,0,5,5"], "--roi must be left,top,width,height"),
        (["--roi", "0,0,nan,5"], "--roi must be left,top,width,height"),
        (["--loop"], "--loop does nothing with --camera test; it is for a video file"),
        (["--pixel-format", "mjpeg"], "--pixel-format does nothing with --camera test"),
        (["--backend", "v4l2"], "--backend does nothing with --camera test"),
        (["--camera", "0", "--backend", "nonsense"], "--backend nonsense: this OpenCV has "),
    ],
)
def test_wrong_usage(options: list[str], message: str, colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "--camera", "test", "--model", str(colours), *options]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    "option",
    ["--fps=3", "--every=3", "--loop", "--realtime", "--mirror", "--rotate=90", "--size=64x48", "--roi=0,0,9,9"]
    + ["--camera-timeout=10", "--fps=10", "--backend=x", "--camera-fps=9", "--pixel-format=MJPG"],
)
def test_options_that_need_a_camera(option: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(photos), option]) == 2
    assert capsys.readouterr().err == f"runtime: error: {option.partition('=')[0]} needs --camera\n"


def test_picamera2_is_not_here(colours: Path, run_module: Run, device_python: Path) -> None:
    done = run_module("classify", "--camera", "pi", "--model", str(colours), python=device_python)
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs picamera2, which is not installed here: sudo apt install python3-picamera2" in done.stderr
