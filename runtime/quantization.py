"""Real numbers to a tensor's integers and back: the affine scheme of TFLite.

``real = scale * (integer - zero_point)``, https://ai.google.dev/edge/litert/models/quantization_spec
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Preprocessing


class Quantization(NamedTuple):
    """Scale and zero point of a tensor; scale 0 means that it is not quantised."""

    dtype: np.dtype[Any]
    scale: float
    zero_point: int

    @property
    def is_quantized(self) -> bool:
        """Whether the tensor holds integers."""
        return self.scale != 0 and self.dtype.kind in "iu"

    def quantize(self, real: NDArray[np.float32]) -> NDArray[Any]:
        """Nearest integers, clipped to the dtype's range; the same shape."""
        if not self.is_quantized:
            return real.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        integers = np.rint(real / np.float32(self.scale)) + self.zero_point
        clipped: NDArray[Any] = integers.clip(limits.min, limits.max).astype(self.dtype)
        return clipped

    def dequantize(self, integers: NDArray[Any]) -> NDArray[np.float32]:
        """The real numbers, float32; the same shape."""
        if not self.is_quantized:
            return integers.astype(np.float32, copy=False)
        wide = integers.astype(np.int32) - self.zero_point
        real: NDArray[np.float32] = wide.astype(np.float32) * np.float32(self.scale)
        return real

    def byte_shift(self, preprocessing: Preprocessing) -> int | None:
        """What to subtract from 0..255 pixel bytes to get the input's integers; None where that is not right.

        Holds when the tensor's scale and zero point are the normalisation itself, to within one step at both
        ends of the range: then the bytes go in as they are (uint8) or less 128 (int8).
        """
        if not self.is_quantized or self.dtype.itemsize != 1 or len(set(channel_stats(preprocessing))) != 1:
            return None
        mean, std = channel_stats(preprocessing)[0]
        shift = 0 if self.dtype == np.uint8 else 128
        ends = np.array([0.0, 255.0])
        integers = (ends - mean) / std / self.scale + self.zero_point
        return shift if np.abs(integers - (ends - shift)).max() <= 1.01 else None


def channel_stats(preprocessing: Preprocessing) -> list[tuple[float, float]]:
    """(mean, std) of each channel."""
    return list(zip(preprocessing.mean, preprocessing.std, strict=True))
