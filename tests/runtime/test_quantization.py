from __future__ import annotations

import numpy as np
import pytest

from runtime.quantization import Quantization
from runtime.spec import Preprocessing

PIXELS = Preprocessing(8, 8)
UINT8, INT8 = np.dtype(np.uint8), np.dtype(np.int8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_every_integer_comes_back(dtype: type[np.generic]) -> None:
    limits = np.iinfo(dtype)
    integers = np.arange(limits.min, limits.max + 1, dtype=np.int64).astype(dtype)
    tensor = Quantization(np.dtype(dtype), 0.0078125, 3)
    real = tensor.dequantize(integers)
    assert real.dtype == np.float32
    assert np.array_equal(real, (integers.astype(np.float64) - 3) * 0.0078125)
    back = tensor.quantize(real)
    assert back.dtype == dtype
    assert np.array_equal(back, integers)


def test_numbers_are_rounded_and_clipped() -> None:
    real = np.array([-1e9, -0.26, 0.0, 0.24, 0.26, 1e9], np.float32)
    assert Quantization(UINT8, 0.5, 10).quantize(real).tolist() == [0, 9, 10, 10, 11, 255]
    assert Quantization(INT8, 0.5, 10).quantize(real).tolist() == [-128, 9, 10, 10, 11, 127]


def test_what_is_not_quantised_stays_as_it_is() -> None:
    tensor = Quantization(np.dtype(np.float32), 0.0, 0)
    real = np.array([0.5, -2.0], np.float32)
    assert tensor.quantize(real) is real
    assert tensor.dequantize(real) is real
    assert not tensor.is_quantized
    assert not Quantization(np.dtype(np.float32), 0.5, 0).is_quantized


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "mean", "std", "shift"),
    [
        (UINT8, 1 / 127.5, 127, 127.5, 127.5, 0),
        (UINT8, 1 / 127.5, 128, 127.5, 127.5, 0),
        (UINT8, 1 / 128, 128, 127.5, 127.5, 0),
        (UINT8, 1 / 128, 127, 127, 128, 0),
        (UINT8, 1 / 255, 0, 0, 255, 0),
        (UINT8, 1.0, 0, 0, 1, 0),
        (INT8, 1 / 127.5, 0, 127.5, 127.5, 128),
        (INT8, 1 / 127.5, -1, 127.5, 127.5, 128),
        (INT8, 1 / 255, -128, 0, 255, 128),
        # Scales or zero points of something else: the pixels must be normalised.
        (UINT8, 1 / 100, 128, 127.5, 127.5, None),
        (UINT8, 1 / 127.5, 100, 127.5, 127.5, None),
        (UINT8, 1 / 127.5, 0, 127.5, 127.5, None),
        (UINT8, 1 / 127.5, 128, 0, 255, None),
        (INT8, 1 / 127.5, 128, 127.5, 127.5, None),
        (np.dtype(np.int16), 1 / 127.5, 0, 127.5, 127.5, None),
        (np.dtype(np.float32), 0.0, 0, 127.5, 127.5, None),
        (UINT8, 0.0, 0, 0, 1, None),
    ],
)
def test_when_bytes_go_in_as_they_are(
    dtype: np.dtype[np.generic], scale: float, zero_point: int, mean: float, std: float, shift: int | None
) -> None:
    pixels = Preprocessing(8, 8, mean=(mean,) * 3, std=(std,) * 3)
    tensor = Quantization(dtype, scale, zero_point)
    assert tensor.byte_shift(pixels) == shift
    if shift is not None:  # and then it is what normalising and quantising gives, to one step
        values = np.arange(256, dtype=np.float32)
        exact = tensor.quantize((values - np.float32(mean)) / np.float32(std)).astype(int)
        assert np.abs(exact - (values - shift)).max() <= 1


def test_channels_that_differ_must_be_normalised() -> None:
    pixels = Preprocessing(8, 8, mean=(127.5, 127.5, 127), std=(127.5,) * 3)
    assert Quantization(UINT8, 1 / 127.5, 128).byte_shift(pixels) is None
