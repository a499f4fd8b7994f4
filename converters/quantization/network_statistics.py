"""What the tensors of a float network hold on calibration pictures, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.rebuilt_network import RebuiltNetwork

Floats = NDArray[np.float32]
Range = tuple[float, float]

# Values of each tensor and picture that are kept.
_SAMPLE = 2000
# Parts of the full range that are tried: each 0.85 of the one before, down to a seventh.
_PARTS = 0.85 ** np.arange(13)


@dataclass(frozen=True)
class TensorStatistics:
    """Of one tensor.

    Attributes:
        low: least value.
        high: greatest value.
        reach: greatest absolute value of each channel, (channels,).
        spread: root of the mean square of each channel, (channels,).
        sample: some of the values, flat.
    """

    low: float
    high: float
    reach: Floats
    spread: Floats
    sample: Floats

    def least_error_range(self, full: Range) -> Range:
        """The part of a range that has the least mean squared error when it is cut into 255 steps.

        R. Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference",
        https://arxiv.org/abs/1806.08342, and its successors.

        Args:
            full: the range to take a part of.
        """
        low, high = min(full[0], 0.0), max(full[1], 0.0)
        if high <= low or not len(self.sample):
            return full
        parts = [(float(low * part), float(high * part)) for part in _PARTS]
        return min(parts, key=lambda part: _rounding_error(self.sample, *part))


def _rounding_error(values: Floats, low: float, high: float) -> float:
    step = (high - low) / 255
    stored = np.clip(np.rint((values - low) / step) * step + low, low, high)
    return float(np.mean(np.square(stored - values)))


def network_statistics(network: RebuiltNetwork, tensors: list[Floats]) -> Mapping[int, TensorStatistics]:
    """Run the network and look at each tensor that is no constant.

    Args:
        network: in float.
        tensors: normalised pictures, each (1, height, width, 3).

    Returns:
        Tensor index -> what it held.
    """
    collected: dict[int, _Collected] = {}
    for tensor in tensors:
        for index, value in network.forward(tensor).items():
            collected.setdefault(index, _Collected()).add(np.asarray(value))
    return {index: parts.together() for index, parts in collected.items()}


class _Collected:
    """The figures of each picture."""

    def __init__(self) -> None:
        self.reach: list[Any] = []
        self.squares: list[Any] = []
        self.ends: list[Range] = []
        self.samples: list[Floats] = []

    def add(self, value: Floats) -> None:
        rows = value.reshape(-1, value.shape[-1])
        self.reach.append(np.abs(rows).max(axis=0))
        self.squares.append(np.square(rows, dtype=np.float32).mean(axis=0))
        self.ends.append((float(rows.min()), float(rows.max())))
        # An odd step: an even one would always meet the same channels.
        self.samples.append(rows.reshape(-1)[:: (rows.size // _SAMPLE) | 1].copy())

    def together(self) -> TensorStatistics:
        return TensorStatistics(
            min(low for low, _ in self.ends),
            max(high for _, high in self.ends),
            np.max(self.reach, axis=0),
            np.sqrt(np.mean(self.squares, axis=0)),
            np.concatenate(self.samples),
        )
