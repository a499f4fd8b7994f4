from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.errors import ImageError
from runtime.pillow_resize import crop_box
from runtime.preprocess import image_from_array, normalize, resize, tf_bilinear
from runtime.spec import Preprocessing

# (height, width) of pictures and of targets: odd, one pixel, larger, smaller, equal.
SOURCES = [(1, 1), (1, 7), (9, 1), (3, 5), (48, 80), (97, 131), (224, 224), (300, 17)]
TARGETS = [(1, 1), (2, 3), (13, 29), (96, 96), (224, 224)]


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def test_tf_bilinear_is_tensorflows() -> None:
    tf = pytest.importorskip("tensorflow")
    for source in SOURCES:
        picture = noise(*source)
        for target in TARGETS:
            expected = tf.image.resize(picture, target, "bilinear", antialias=False).numpy()
            made = tf_bilinear(picture, *target)
            assert made.dtype == np.float32
            assert made.shape == (*target, 3)
            assert np.abs(made - expected).max() < 1e-3, (source, target)


@pytest.mark.parametrize("name", ["bilinear", "nearest", "bicubic", "lanczos"])
@pytest.mark.parametrize("source", SOURCES)
def test_the_other_filters_are_pillows(name: str, source: tuple[int, int]) -> None:
    picture = Image.fromarray(noise(*source))
    made = resize(picture, Preprocessing(13, 29, resample=name))  # type: ignore[arg-type]
    assert made.dtype == np.uint8
    assert np.array_equal(made, np.asarray(picture.resize((29, 13), Image.Resampling[name.upper()])))


@pytest.mark.parametrize(
    ("size", "pixels", "box"),
    [
        ((80, 48), Preprocessing(10, 10), (0, 0, 80, 48)),
        ((80, 48), Preprocessing(10, 10, "center-crop"), (16, 0, 64, 48)),
        ((48, 80), Preprocessing(10, 10, "center-crop"), (0, 16, 48, 64)),
        ((80, 48), Preprocessing(10, 10, "center-crop", 0.5), (28, 12, 52, 36)),
        ((80, 48), Preprocessing(10, 20, "center-crop"), (0, 4, 80, 44)),
        ((100, 100), Preprocessing(224, 224, "center-crop", 0.875), (6.25, 6.25, 93.75, 93.75)),
        ((1, 1), Preprocessing(224, 224, "center-crop", 0.875), (0, 0, 1, 1)),
    ],
)
def test_crop_box(size: tuple[int, int], pixels: Preprocessing, box: tuple[float, ...]) -> None:
    assert crop_box(*size, pixels) == pytest.approx(box)


def test_the_crop_is_what_the_filter_sees() -> None:
    picture, box = Image.fromarray(noise(48, 80)), (28, 12, 52, 36)
    for name in ("tf-bilinear", "nearest"):
        whole = Preprocessing(12, 12, resample=name)  # type: ignore[arg-type]
        cropped = Preprocessing(12, 12, "center-crop", 0.5, name)  # type: ignore[arg-type]
        assert np.array_equal(resize(picture, cropped), resize(picture.crop(box), whole))
    # Pillow's filters that antialias reach over the edge of the box.
    made = resize(picture, Preprocessing(12, 12, "center-crop", 0.5))
    assert np.array_equal(made, np.asarray(picture.resize((12, 12), Image.Resampling.BILINEAR, box=box)))


@pytest.mark.parametrize("name", ["bilinear", "tf-bilinear", "nearest", "bicubic", "lanczos"])
def test_every_size_can_be_cropped(name: Any) -> None:
    for fraction in (0.01, 0.25, 0.5, 0.875, 1.0):
        pixels = Preprocessing(7, 5, "center-crop", fraction, name)
        for height in range(1, 12):
            for width in range(1, 12):
                grey = Image.new("RGB", (width, height), (90, 90, 90))
                made = resize(grey, pixels)
                assert made.shape == (7, 5, 3)
                assert np.abs(made - 90.0).max() < 1e-3


@pytest.mark.parametrize("name", ["bilinear", "tf-bilinear"])
def test_blue_first(name: Any) -> None:
    picture = Image.new("RGB", (30, 20), (10, 20, 30))
    made = resize(picture, Preprocessing(4, 4, resample=name, channel_order="BGR"))
    assert made[0, 0].tolist() == [30, 20, 10]


def test_normalize_is_exact() -> None:
    picture = noise(9, 7)
    for mean, std in ((127.5, 127.5), (0.0, 255.0), ((1.0, 2.0, 3.5), (4.0, 58.395, 6.0))):
        pixels = Preprocessing(9, 7, mean=mean, std=std)  # type: ignore[arg-type]
        exact = (picture - np.asarray(mean, np.float64)) / np.asarray(std, np.float64)
        for given in (picture, picture.astype(np.float32)):
            made = normalize(given, pixels)
            assert made.dtype == np.float32
            assert np.allclose(made, exact, rtol=3e-7, atol=0)
    assert picture.dtype == np.uint8


def test_of_a_large_picture_only_what_is_needed_becomes_float() -> None:
    picture = Image.new("RGB", (5472, 3648), (1, 2, 3))
    tracemalloc.start()
    try:
        made = resize(picture, Preprocessing(224, 224, resample="tf-bilinear"))
        assert tracemalloc.get_traced_memory()[1] < 200_000_000  # all of it: 240 MB more
    finally:
        tracemalloc.stop()
    assert made[100, 100].tolist() == [1, 2, 3]


def test_arrays_become_pictures() -> None:
    picture = noise(5, 4)
    assert np.array_equal(np.asarray(image_from_array(picture)), picture)
    assert np.array_equal(np.asarray(image_from_array(picture[::-1, ::2])), picture[::-1, ::2])
    grey = np.asarray(image_from_array(picture[:, :, 0]))
    assert np.array_equal(grey, np.repeat(picture[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(ImageError, match=r"must be uint8 \(height, width, 3\), RGB; got "):
        image_from_array(array)


def test_a_picture_without_pixels() -> None:
    with pytest.raises(ImageError, match="a picture of 0 x 5 pixels"):
        resize(Image.new("RGB", (0, 5)), Preprocessing(4, 4))
