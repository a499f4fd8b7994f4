from __future__ import annotations

import io
import threading

import numpy as np
from PIL import Image

from runtime.page.live import Live, without_logins
from runtime.page.pictures import Pictures, as_jpeg
from runtime.sources.frame import Frame
from tests.runtime.page.conftest import seen


def test_nothing_yet() -> None:
    status = Live().status()
    assert status["answer"] is None
    assert status["seconds_since_frame"] is None
    assert status["frames_per_second"] == 0
    assert Live().changes() == []


def test_the_newest_answer_and_the_means_of_the_stages() -> None:
    live = Live()
    live.handle(seen(0, "red"))
    live.handle(seen(4, "green"))
    status = live.status()
    assert status["answer"]["labels"] == ["green"]
    assert status["answer"]["frame"] == 4
    assert status["answer"]["predictions"] == [{"class_id": 1, "label": "green", "score": 0.9}]
    assert status["milliseconds"] == {"decode": 1, "preprocess": 2, "invoke": 3, "postprocess": 0.5, "age": 7}
    assert status["frames_per_second"] > 0


def test_changes_newest_first_and_only_so_many() -> None:
    live = Live()
    for number in range(120):
        live.handle(seen(number, "red", changed=number % 2 == 0))
    assert live.status()["changes"] == 60
    changes = live.changes()
    assert [change["frame"] for change in changes] == list(range(118, 18, -2))
    assert changes[0]["labels"] == [{"label": "red", "score": 0.9}]
    assert changes[0]["time"] == "2027-01-15T08:01:58.000Z"


def test_waiting_for_a_newer_answer() -> None:
    live = Live()
    assert live.newer_than(None, 0.01) is None
    first, second = seen(0), seen(1)
    live.handle(first)
    assert live.newer_than(None, 0) is first
    assert live.newer_than(first, 0.01) is first
    threading.Timer(0.05, live.handle, [second]).start()
    assert live.newer_than(first, 20) is second


def test_a_camera_that_ended() -> None:
    live = Live()
    live.handle(seen())
    assert not live.status()["ended"]
    live.close()
    assert live.status()["ended"]
    assert live.status()["answer"] is not None


def test_passwords_of_urls_are_not_shown() -> None:
    live = Live()
    live.handle(seen(source="rtsp://me:pass/w@rd@camera/1"))
    live.note("--camera rtsp://me:secret@camera/1: fell silent")
    status = live.status()
    assert status["note"]["text"] == "--camera rtsp://camera/1: fell silent"
    live.handle(seen(source="rtsp://me:p@ss@camera/1"))
    assert live.status()["answer"]["source"] == "rtsp://camera/1"


def test_tokens_of_urls_are_not_shown() -> None:
    text = "--camera http://pi:8080/stream?token=secret: fell silent; is http://pi/?a=b there?"
    assert without_logins(text) == "--camera http://pi:8080/stream?...: fell silent; is http://pi/?... there?"


def test_a_frame_is_encoded_once_for_all() -> None:
    pictures, frame = Pictures(), seen(0, "green")
    jpeg = pictures.jpeg(frame)
    assert jpeg is not None
    assert pictures.jpeg(frame) is jpeg
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    assert image.size == (64, 48)
    red, green, blue = image.getpixel((30, 20))  # type: ignore[misc]
    assert green > 240 > 15 > max(red, blue)
    assert pictures.jpeg(seen(1, "red")) != jpeg


def test_blue_first_frames_and_large_ones() -> None:
    pixels = np.zeros((1000, 3000, 3), np.uint8)
    pixels[:, :, 0] = 255  # blue, in OpenCV's order
    frame = seen(picture=pixels)
    object.__setattr__(frame.frame, "channel_order", "BGR")
    image = Image.open(io.BytesIO(as_jpeg(frame)))
    assert image.size == (1000, 334)
    assert image.getpixel((5, 5))[2] > 240  # type: ignore[index]


def test_a_cameras_own_jpeg_goes_on_as_it_is_and_a_damaged_picture_not_at_all() -> None:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (9, 9, 200)).save(file, "JPEG")
    assert as_jpeg(seen(picture=file.getvalue())) == file.getvalue()
    assert isinstance(seen(picture=b"no picture").frame, Frame)
    assert Pictures().jpeg(seen(picture=b"no picture")) is None
