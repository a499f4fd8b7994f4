from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from runtime.sources.jpeg_split import JpegSplitter

Encode = Callable[..., bytes]


@pytest.fixture
def pictures(encoded: Encode) -> list[bytes]:
    """A plain one, a progressive one, noise at best quality, restarts, and one with a thumbnail within."""
    noise = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    thumbnail = encoded(Image.new("RGB", (16, 16), (1, 2, 3)), "JPEG")
    return [
        encoded(Image.new("RGB", (30, 20), (200, 10, 10)), "JPEG"),
        encoded(noise, "JPEG", progressive=True, quality=95),
        encoded(noise, "JPEG", quality=100),
        encoded(noise, "JPEG", restart_marker_rows=1),
        encoded(noise, "JPEG", exif=b"Exif\0\0" + thumbnail, comment=b"\xff\xd8\xff\xd9"),
    ]


def fed(data: bytes, sizes: Callable[[], int]) -> list[bytes]:
    splitter, found = JpegSplitter(), []
    while data:
        size = sizes()
        found += splitter.feed(data[:size])
        data = data[size:]
    return found


@pytest.mark.parametrize("between", [b"", b"\r\n--frame\r\nContent-Length: 3\r\n\r\n", b"\xff\xff\0\xff"])
def test_pictures_come_as_they_went_in_however_the_bytes_fall(pictures: list[bytes], between: bytes) -> None:
    stream = between + between.join(pictures) + between
    random_sizes = random.Random(5)
    for sizes in (lambda: 1, lambda: 7, lambda: len(stream), lambda: random_sizes.randint(1, 900)):
        assert fed(stream, sizes) == pictures


def test_each_picture_is_given_with_its_last_byte(pictures: list[bytes]) -> None:
    splitter = JpegSplitter()
    for picture in pictures:
        assert splitter.feed(picture[:-1]) == []
        assert splitter.feed(picture[-1:]) == [picture]


def test_a_picture_that_breaks_off_takes_no_other_with_it(pictures: list[bytes]) -> None:
    good = pictures[0]
    half = pictures[2][: len(pictures[2]) // 2]
    found = fed(good + half + b"\r\n--frame\r\n\r\n" + good + good, lambda: 100)
    assert found[0] == good
    assert found[1].startswith(half)
    assert found[2:] == [good, good]


def test_what_is_no_picture_is_forgotten(monkeypatch: pytest.MonkeyPatch, pictures: list[bytes]) -> None:
    monkeypatch.setattr("runtime.sources.jpeg_split.MAX_JPEG_BYTES", 50_000)
    splitter = JpegSplitter()
    assert splitter.feed(b"\xff\xd8" + bytes(200_000)) == []
    assert len(splitter.rest) < 50_000
    assert splitter.feed(pictures[0] + pictures[1]) == [pictures[0], pictures[1]]
    assert splitter.feed(bytes(200_000)) == []
    assert len(splitter.rest) < 2


def test_any_rubbish_ends(pictures: list[bytes]) -> None:
    chance = random.Random(7)
    stream = bytearray(b"".join(pictures) * 3)
    for _ in range(300):
        broken = bytearray(stream)
        for _ in range(chance.randint(1, 40)):
            broken[chance.randrange(len(broken))] = chance.choice((0, 0xFF, 0xD8, 0xD9, 0xDA, chance.randrange(256)))
        found = fed(bytes(broken), lambda: chance.randint(1, 5000))
        assert all(picture.startswith(b"\xff\xd8") for picture in found)
        assert sum(map(len, found)) <= len(broken)


def test_a_hostile_stream_of_beginnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.sources.jpeg_split.MAX_JPEG_BYTES", 100_000)
    segment = b"\xff\xe1\xff\xff" + b"\xff\xd8" * 32766 + b"\0"
    splitter = JpegSplitter()
    for _ in range(4):
        splitter.feed(b"\xff\xd8" + segment)
    assert len(splitter.rest) <= 200_000
