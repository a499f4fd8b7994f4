"""A float network whose wild channels are balanced: it answers the same and is easier to round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.channel_balance import balance_channels
from converters.quantization.network_statistics import network_statistics
from converters.quantization.rebuilt_network import RebuiltNetwork
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

# Calibration pictures that the channels are measured on, at most.
_PICTURES = 32


def balanced_network(float32: bytes, images: NDArray[Any], preprocessing: Preprocessing) -> bytes | None:
    """Scale wild channels down where they are made and up where they are read.

    Args:
        float32: a ``.tflite`` file: float32 (1, height, width, 3) -> float32 (1, outputs).
        images: calibration pictures, (count, height, width, 3), 0..255.
        preprocessing: of the model.

    Returns:
        The network with other constants; None where no channel is wild.

    Raises:
        ModelError: a network with operators that cannot be rebuilt.
    """
    network = RebuiltNetwork(float32)
    chosen = images[np.unique(np.linspace(0, len(images) - 1, _PICTURES).round().astype(int))]
    with quiet_stderr():
        statistics = network_statistics(network, [normalize(np.rint(image), preprocessing)[None] for image in chosen])
        changed = balance_channels(network, statistics)
        return network.write(changed) if changed else None
