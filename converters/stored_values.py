"""Real values to what a tensor of a model stores, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.layerwise import LayerwiseModel
from runtime.op_names import TENSOR_TYPES
from runtime.quantization import Quantization


def tensor_quantization(model: LayerwiseModel, index: int) -> Quantization:
    """Dtype, scale and zero point of an activation; of a tensor with several scales the first."""
    tensor = model.graph.tensors[index]
    dtype, stored = np.dtype(TENSOR_TYPES[tensor.type][0]), tensor.quantization
    if stored is None or stored.scale is None or not len(stored.scale):
        return Quantization(dtype, 0.0, 0)
    return Quantization(dtype, float(stored.scale[0]), int(stored.zeroPoint[0]))


def stored_values(model: LayerwiseModel, index: int, values: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Real values as the tensor holds them."""
    quantization = tensor_quantization(model, index)
    return [quantization.quantize(value) for value in values]


def real_values(model: LayerwiseModel, index: int) -> list[NDArray[np.float32]]:
    """What the tensor's present values stand for."""
    quantization = tensor_quantization(model, index)
    return [quantization.dequantize(value) for value in model.values[index]]
