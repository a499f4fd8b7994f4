"""Chooses how finely an int8 model stores each activation: by least error, not by the two extreme values.

The converter spans a tensor's 255 steps from the least to the greatest value it saw, so one outlier makes all the
others coarse; and it gives the two inputs of an ADD one range, the wider. Here the range is the one with the least
mean squared error on calibration pictures, outliers clipped, as in R. Krishnamoorthi, "Quantizing deep convolutional
networks for efficient inference", https://arxiv.org/abs/1806.08342, and its successors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.layerwise import LayerwiseModel
from runtime.quantization import Quantization

# BuiltinOperator values of the schema. Producers whose output may have any range, and consumers that take any: the
# others (CONCATENATION, RESHAPE, pools, ...) want the same one on both sides, or have a table made for it.
_ADD, _CONV, _DEPTHWISE, _FULLY_CONNECTED, _MEAN = 0, 3, 4, 9, 40
_INT8 = 9  # TensorType
_PRODUCERS = frozenset((_ADD, _CONV, _DEPTHWISE))
#: Operators with a kernel and a bias.
WEIGHTED = frozenset((_CONV, _DEPTHWISE, _FULLY_CONNECTED))
_CONSUMERS = WEIGHTED | {_ADD, _MEAN}
# Parts of the full range that are tried, and values of each picture that are looked at.
_PARTS = np.linspace(0.2, 1.0, 17)
_SAMPLE = 4000
# Half of what XNNPACK refuses.
_LARGEST_MULTIPLIER = 128.0


def choose_range(whole: LayerwiseModel, operator: Any, reference: list[NDArray[np.float32]]) -> None:
    """Set scale and zero point of the operator's output, where its neighbours allow that.

    Args:
        whole: the int8 model.
        operator: of it.
        reference: what the float model's twin gives, one array a picture.
    """
    index = int(operator.outputs[0])
    readers = {whole.code(reader) for reader in whole.readers(index)}
    free = whole.code(operator) in _PRODUCERS and readers and readers <= _CONSUMERS
    integer = whole.graph.tensors[index].type == _INT8  # of a mixed model some are float
    if not free or not integer or index in map(int, whole.graph.outputs):
        return
    values = np.concatenate([value.reshape(-1)[:: max(1, value.size // _SAMPLE)] for value in reference])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high <= low:
        return
    choices = [((high - low) * part / 255, int(np.rint(-128 - low * 255 / (high - low)))) for part in _PARTS]
    least = _least_scale(whole, operator)
    choices = [choice for choice in choices if choice[0] >= least]
    if not choices:
        return  # so little comes out of this layer that no scale is fine enough and still loads: the converter's stays
    scale, zero_point = min(choices, key=lambda choice: _error(values, *choice))
    quantization = whole.graph.tensors[index].quantization
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([zero_point], np.int64)
    quantization.min = quantization.max = None


def _least_scale(whole: LayerwiseModel, operator: Any) -> float:
    """The finest scale of an operator's output that interpreters load: XNNPACK multiplies sums by less than 256.

    https://github.com/google/XNNPACK/blob/master/src/operators/convolution-nhwc.c, "requantization scale".
    """
    tensors = [whole.graph.tensors[int(index)] for index in operator.inputs if index >= 0]
    scales = [float(np.max(t.quantization.scale)) for t in tensors[:2]]
    coarsest = scales[0] * scales[1] if whole.code(operator) in WEIGHTED else max(scales)
    return coarsest / _LARGEST_MULTIPLIER


def _error(values: NDArray[np.float32], scale: float, zero_point: int) -> float:
    """Mean squared error of values that are stored in int8."""
    int8 = Quantization(np.dtype(np.int8), scale, zero_point)
    return float(np.mean(np.square(int8.dequantize(int8.quantize(values)) - values)))


def integer_bias(whole: LayerwiseModel, operator: Any, bias: NDArray[np.float32]) -> NDArray[np.int32]:
    """The bias for the present scale of the operator's input, int32 (channels,); its scale is set too.

    Args:
        whole: the int8 model.
        operator: a convolution or dense layer of it.
        bias: of the float model, (channels,).
    """
    source, kernel, place = (whole.graph.tensors[int(index)] for index in operator.inputs)
    scales = np.float64(source.quantization.scale[0]) * np.asarray(kernel.quantization.scale, np.float64)
    place.quantization.scale = scales.astype(np.float32)
    limits = np.iinfo(np.int32)
    integers: NDArray[np.int32] = np.clip(np.rint(bias / scales), limits.min, limits.max).astype(np.int32)
    return integers
