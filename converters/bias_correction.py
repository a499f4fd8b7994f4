"""Takes the systematic part of the quantisation error out of an int8 model, layer by layer.

Rounded weights and activations shift the mean of every channel a little, and the shifts add up through the
network. The shift is measured on calibration pictures, channel by channel, against the float model, and put
into the layer's int32 bias, where it costs nothing: "empirical bias correction", M. Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", https://arxiv.org/abs/1906.04721, section 4.2.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.activation_ranges import WEIGHTED, choose_range, integer_bias
from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel
from converters.stored_values import stored_values
from converters.twins import find_twins
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

#: Pictures the shifts are measured on, at most; more change nothing but the time it takes.
PICTURES = 200
# Rounds for each layer: what clipping at 0 and 6 leaves of the shift after the first is taken by the next.
_ROUNDS = 2
# A channel with a smaller share of values off the clipping borders is left alone: its mean says little.
_LEAST_ACTIVE = 0.05


def correct_biases(
    int8: bytes, float32: bytes, images: NDArray[Any], preprocessing: Preprocessing, pictures: int = PICTURES
) -> bytes:
    """Adjust the biases of convolutions and dense layers.

    Args:
        int8: a model with integer activations; its input may be uint8, int8 or float32.
        float32: the same network in float, converted from the same graph.
        images: calibration pictures, (count, height, width, 3), 0..255.
        preprocessing: of the float model.
        pictures: how many of them to use at most.

    Returns:
        The int8 model with other biases; as it was where the two do not have the same operators in one order.
    """
    chosen = images[:pictures]
    real = LayerwiseModel(unpack_model(float32), [normalize(image, preprocessing)[None] for image in chosen])
    pixels = [normalize(np.rint(image), preprocessing)[None] for image in chosen]
    whole = LayerwiseModel(unpack_model(int8), pixels)
    entry = int(whole.graph.inputs[0])
    whole.values[entry] = stored_values(whole, entry, pixels)
    twins = find_twins(whole, real)
    if twins is None:
        return int8
    with quiet_stderr():
        _correct_in_order(whole, real, twins)
    return pack_model(whole.model)


def _correct_in_order(whole: LayerwiseModel, real: LayerwiseModel, twins: list[Any]) -> None:
    """Layer by layer, each fed with what the corrected ones before it give."""
    biases = [_bias(whole, real, operator, twin) for operator, twin in zip(whole.operators, twins, strict=True)]
    # A bias is stored in units of the input's scale: where it cannot be written anew, the input's range must stay.
    pairs = zip(whole.operators, biases, strict=True)
    fixed = {int(o.inputs[0]) for o, bias in pairs if bias is None and whole.code(o) in WEIGHTED}
    steps = 0
    for done, (operator, twin, bias) in enumerate(zip(whole.operators, twins, biases, strict=True), 1):
        if twin is not None:
            real.run(twin)
            steps += 1
            if int(operator.outputs[0]) not in fixed:
                choose_range(whole, operator, real.values[int(twin.outputs[0])])
            if bias is not None:  # what feeds it may have another range than before
                _store(whole, bias.tensor, integer_bias(whole, operator, bias.real))
        whole.run(operator)
        if twin is not None and bias is not None:
            wanted = _channel_means(real.values[int(twin.outputs[0])])
            for _ in range(_ROUNDS):
                _shift(whole, operator, bias.tensor, wanted)
                whole.run(operator)
        whole.forget(done)
        real.forget(steps)


@dataclass(frozen=True)
class _Bias:
    """Tensor index of an int32 bias, and the float model's values, (channels,)."""

    tensor: int
    real: NDArray[np.float32]


def _bias(whole: LayerwiseModel, real: LayerwiseModel, operator: Any, twin: Any) -> _Bias | None:
    """The operator's bias, one value a channel, where it is its own and can be written anew."""
    if twin is None or len(operator.inputs) != 3 or len(twin.inputs) != 3 or int(operator.inputs[2]) < 0:
        return None
    index = int(operator.inputs[2])
    exact = real.constant_values(int(twin.inputs[2]), "<f4")
    integers = whole.constant_values(index, "<i4")
    quantization = whole.graph.tensors[index].quantization
    if not len(exact) or quantization is None or quantization.scale is None or len(whole.readers(index)) != 1:
        return None
    return _Bias(index, exact) if len(integers) == len(exact) else None


def _shift(whole: LayerwiseModel, operator: Any, bias: int, wanted: NDArray[np.float64]) -> None:
    """Move each channel's bias by the difference of the means."""
    index = int(operator.outputs[0])
    quantization = whole.graph.tensors[index].quantization
    scale, zero_point = np.float32(quantization.scale[0]), int(quantization.zeroPoint[0])
    values = whole.values[index]
    limits = np.iinfo(values[0].dtype)
    error = wanted - (_channel_means(values) - zero_point) * scale
    active = _channel_means(((v > limits.min) & (v < limits.max)).view(np.uint8) for v in values)
    shift = np.where(active >= _LEAST_ACTIVE, error / np.maximum(active, _LEAST_ACTIVE), 0.0)
    tensor = whole.graph.tensors[bias]
    moved = np.rint(whole.constant_values(bias, "<i4") + shift / np.asarray(tensor.quantization.scale, np.float64))
    _store(whole, bias, np.clip(moved, -(2**31), 2**31 - 1).astype("<i4"))


def _channel_means(pictures: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Mean of each channel over all pictures, float64 (channels,).

    Picture by picture: the activations of all of them together are large enough without a copy.
    """
    rows = [_column_means(picture.reshape(-1, picture.shape[-1])) for picture in pictures]
    means: NDArray[np.float64] = np.mean(rows, axis=0)
    return means


def _column_means(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Mean of each column; einsum needs a third of the time of numpy's mean along the first axis."""
    sums: NDArray[np.float32] = np.einsum("ij->j", rows.astype(np.float32, copy=False))
    return sums.astype(np.float64) / len(rows)


def _store(whole: LayerwiseModel, bias: int, values: NDArray[np.int32]) -> None:
    tensor, buffers = whole.graph.tensors[bias], whole.model.buffers
    # The converter keeps equal constants once: the zeros of layers without a bias, say.
    if sum(other.buffer == tensor.buffer for other in whole.graph.tensors) > 1:
        buffers.append(copy.copy(buffers[tensor.buffer]))
        tensor.buffer = len(buffers) - 1
    buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
