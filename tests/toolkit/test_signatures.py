"""toolkit.signatures: what copies of a picture have in common, and the cache of it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageStat

from runtime.errors import DataError, ImageError
from runtime.images import decode_image, open_image
from tests.toolkit.bad_pictures import jpeg
from toolkit.feature_cache import FeatureCache
from toolkit.signatures import BITS, SignatureCache, _channel_spreads, signature_of


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def one_shape(shapes: Path) -> bytes:
    return (shapes / "circle" / "circle_0001.jpg").read_bytes()


def test_a_signature_survives_the_cache_and_spares_the_decoding(shapes: Path, tmp_path: Path) -> None:
    data = one_shape(shapes)
    with SignatureCache(tmp_path) as cache:
        first = cache.signature(digest_of(data), open_image(data, "x"))
    assert first.bits.shape == (BITS,)
    assert first.bits.dtype == np.bool_
    assert not first.blank
    # The header alone is left of the file: pixels are not asked for.
    header = open_image(data, "x")
    with SignatureCache(tmp_path) as cache:
        again = cache.signature(digest_of(data), header)
    np.testing.assert_array_equal(again.bits, first.bits)
    assert again.spread == pytest.approx(first.spread)
    assert header.size == Image.open(io.BytesIO(data)).size, "the picture is left as it was opened"


def test_mirrored_bits_are_those_of_the_mirrored_picture(shapes: Path) -> None:
    with Image.open(io.BytesIO(one_shape(shapes))) as image:
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        plain = signature_of(open_image(jpeg(image), "x"))
    turned = signature_of(open_image(jpeg(mirrored), "x"))
    assert np.count_nonzero(plain.mirrored() != turned.bits) <= 20
    assert np.count_nonzero(plain.bits != turned.bits) > 60


def test_exif_orientation_is_honoured(shapes: Path) -> None:
    with Image.open(io.BytesIO(one_shape(shapes))) as image:
        exif = Image.Exif()
        exif[0x0112] = 6  # stored turned; a viewer turns it back by 270 degrees
        stream = io.BytesIO()
        image.transpose(Image.Transpose.ROTATE_90).save(stream, "jpeg", exif=exif, quality=90)
        upright = signature_of(open_image(jpeg(image), "x"))
    turned = signature_of(open_image(stream.getvalue(), "x"))
    assert np.count_nonzero(upright.bits != turned.bits) <= 10


@pytest.mark.parametrize(("colour", "noise"), [((255, 255, 255), 0), ((0, 0, 0), 2), ((10, 120, 200), 3)])
def test_blank(colour: tuple[int, int, int], noise: int) -> None:
    pixels = np.random.default_rng(0).normal(colour, noise, (150, 200, 3)).clip(0, 255).astype(np.uint8)
    assert signature_of(open_image(jpeg(Image.fromarray(pixels)), "x")).blank
    pixels[60:90, 60:90] = 128 if colour != (10, 120, 200) else 0  # something to see
    assert not signature_of(open_image(jpeg(Image.fromarray(pixels)), "x")).blank


def test_the_spread_is_pillows(shapes: Path) -> None:
    pictures = [open_image(path.read_bytes(), path) for path in sorted(shapes.glob("*/*_000?.jpg"))]
    pictures += [Image.new("RGB", (7, 5), (255, 0, 3)), Image.fromarray(np.eye(200, dtype=np.uint8) * 255)]
    for picture in (image.convert("RGB") for image in pictures):
        assert _channel_spreads(picture) == ImageStat.Stat(picture).stddev


def test_what_is_decoded_whole_is_shown(shapes: Path) -> None:
    shown: list[Image.Image] = []
    files = (path.read_bytes() for path in sorted(shapes.glob("*/*.jpg")))
    data = next(data for data in files if min(open_image(data, "x").size) < 256)
    plain = signature_of(open_image(data, "x"), "x", shown.append)
    (whole,) = shown
    assert (whole.mode, whole.tobytes()) == ("RGB", decode_image(data).tobytes())
    np.testing.assert_array_equal(plain.bits, signature_of(open_image(data, "x")).bits)
    large = jpeg(whole.resize((600, 500)))  # decoded at half its size: of no use to anybody else
    signature_of(open_image(large, "x"), "x", shown.append)
    assert shown == [whole]


def test_colours_of_one_brightness_are_not_blank() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, :50], pixels[:, 50:] = (200, 0, 0), (0, 102, 0)  # both are 60 in grey
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    assert not signature_of(open_image(stream.getvalue(), "x")).blank


def test_a_truncated_picture_is_an_error_and_is_not_kept(shapes: Path, tmp_path: Path) -> None:
    data = one_shape(shapes)[:-500]
    for _ in range(2):
        with SignatureCache(tmp_path) as cache, pytest.raises(ImageError, match="cut.jpg: damaged or truncated"):
            cache.signature(digest_of(data), open_image(data, "cut.jpg"), "cut.jpg")


def test_threads_share_it_and_features_beside_it_stay(shapes: Path, tmp_path: Path) -> None:
    space, other = "ab" * 32, "cd" * 32
    with FeatureCache(tmp_path / "features.sqlite") as features:
        features.put(space, {other: np.arange(5, dtype=np.float32)})
    files = [path.read_bytes() for path in sorted(shapes.glob("*/*.jpg"))[:40]]
    with SignatureCache(tmp_path) as cache, ThreadPoolExecutor(8) as pool:
        once = list(pool.map(lambda data: cache.signature(digest_of(data), open_image(data, "x")), files))
    with SignatureCache(tmp_path) as cache, ThreadPoolExecutor(8) as pool:
        twice = list(pool.map(lambda data: cache.signature(digest_of(data), open_image(data, "x")), files))
    for first, second in zip(once, twice, strict=True):
        np.testing.assert_array_equal(first.bits, second.bits)
    with FeatureCache(tmp_path / "features.sqlite") as features:
        np.testing.assert_array_equal(features.get(space, [other])[other], np.arange(5))


def test_several_are_looked_up_at_once(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path.read_bytes() for path in sorted(shapes.glob("*/*.jpg"))[:6]]
    digests = [digest_of(data) for data in files]
    with SignatureCache(tmp_path) as cache:
        cache.expect(digests)  # none is there yet
        known = [cache.signature(digest, open_image(data, "x")) for digest, data in zip(digests, files, strict=True)]
    asked: list[list[str]] = []
    get = FeatureCache.get

    def counted(self: FeatureCache, space: str, contents: Iterable[str]) -> dict[str, np.ndarray]:
        asked.append(list(contents))
        return get(self, space, asked[-1])

    monkeypatch.setattr(FeatureCache, "get", counted)
    with SignatureCache(tmp_path) as cache:
        cache.expect(digests[:5])
        for digest, data, first in zip(digests, files, known, strict=True):
            image = open_image(data, "x")
            again = cache.signature(digest, image)
            np.testing.assert_array_equal(again.bits, first.bits)
            assert again.spread == pytest.approx(first.spread)
        cache.signature(digests[0], open_image(files[0], "x"))  # a copy of the first
    assert asked == [digests[:5], [digests[5]], [digests[0]]]


def test_a_damaged_cache_begins_anew(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "features.sqlite").write_bytes(os.urandom(5000))
    data = one_shape(shapes)
    with SignatureCache(tmp_path) as cache:
        assert not cache.signature(digest_of(data), open_image(data, "x")).blank


def test_a_cache_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot use the feature cache .*--cache-dir"):
        SignatureCache(tmp_path / "file" / "cache")
