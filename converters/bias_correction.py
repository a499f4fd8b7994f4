"""Takes the systematic part of the quantisation error out of an int8 model, layer by layer.

Rounded weights and activations shift the mean of every channel a little, and the shifts add up through the
network. The shift is measured on calibration pictures, channel by channel, against the float model, and put
into the layer's int32 bias, where it costs nothing: "empirical bias correction", M. Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", https://arxiv.org/abs/1906.04721, section 4.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel
from runtime.preprocess import normalize
from runtime.spec import Preprocessing

#: Pictures the shifts are measured on, at most; more change nothing but the time it takes.
PICTURES = 100
# Rounds for each layer: what clipping at 0 and 6 leaves of the shift after the first is taken by the next.
_ROUNDS = 2
# A channel with a smaller share of values off the clipping borders is left alone: its mean says little.
_LEAST_ACTIVE = 0.05


def correct_biases(
    int8: bytes, float32: bytes, images: NDArray[Any], preprocessing: Preprocessing, pictures: int = PICTURES
) -> bytes:
    """Adjust the biases of convolutions and dense layers.

    Args:
        int8: a full-integer model with uint8 input.
        float32: the same network in float, converted from the same graph.
        images: calibration pictures, (count, height, width, 3), 0..255.
        preprocessing: of the float model.
        pictures: how many of them to use at most.

    Returns:
        The int8 model with other biases; as it was where the two do not have the same operators in one order.
    """
    chosen = images[:pictures]
    real = LayerwiseModel(unpack_model(float32), [normalize(image, preprocessing)[None] for image in chosen])
    whole = LayerwiseModel(unpack_model(int8), [np.rint(image)[None].astype(np.uint8) for image in chosen])
    twins = _twins(whole, real)
    if twins is None:
        return int8
    steps = 0
    for done, (operator, twin) in enumerate(zip(whole.operators, twins, strict=True), 1):
        whole.run(operator)
        if twin is not None:
            real.run(twin)
            steps += 1
            if (bias := _bias(whole, operator)) is not None:
                for _ in range(_ROUNDS):
                    _shift(whole, operator, bias, real.values[int(twin.outputs[0])])
                    whole.run(operator)
        whole.forget(done)
        real.forget(steps)
    return pack_model(whole.model)


def _twins(whole: LayerwiseModel, real: LayerwiseModel) -> list[Any] | None:
    """The float operator of each integer one, None for those that only change the format; None if they differ."""
    computing = [operator for operator in whole.operators if not whole.changes_format_only(operator)]
    if [whole.code(o) for o in computing] != [real.code(o) for o in real.operators]:
        return None
    remaining = iter(real.operators)
    return [None if whole.changes_format_only(o) else next(remaining) for o in whole.operators]


def _bias(whole: LayerwiseModel, operator: Any) -> int | None:
    """Tensor index of the operator's int32 bias, one value a channel, or None."""
    if len(operator.inputs) != 3 or int(operator.inputs[2]) < 0:
        return None
    index = int(operator.inputs[2])
    tensor = whole.graph.tensors[index]
    channels = whole.values[int(operator.outputs[0])][0].shape[-1]
    quantization = tensor.quantization
    good = (
        whole.constant(index) is not None
        and quantization is not None
        and quantization.scale is not None
        and len(whole.constant(index).data) == 4 * channels  # type: ignore[union-attr]
    )
    return index if good else None


def _shift(whole: LayerwiseModel, operator: Any, bias: int, reference: list[NDArray[np.float32]]) -> None:
    """Move each channel's bias by the difference of the means."""
    index = int(operator.outputs[0])
    quantization = whole.graph.tensors[index].quantization
    scale, zero_point = np.float32(quantization.scale[0]), int(quantization.zeroPoint[0])
    integers = np.stack(whole.values[index])
    integers = integers.reshape(-1, integers.shape[-1])
    wanted = np.stack(reference).reshape(integers.shape)
    error = wanted.mean(axis=0, dtype=np.float64) - (integers.mean(axis=0, dtype=np.float64) - zero_point) * scale
    limits = np.iinfo(integers.dtype)
    active = ((integers > limits.min) & (integers < limits.max)).mean(axis=0)
    shift = np.where(active >= _LEAST_ACTIVE, error / np.maximum(active, _LEAST_ACTIVE), 0.0)
    buffer = whole.constant(bias)
    scales = np.asarray(whole.graph.tensors[bias].quantization.scale, np.float64)
    values = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), "<i4").astype(np.float64)  # type: ignore[union-attr]
    moved = np.clip(np.rint(values + shift / scales), -(2**31), 2**31 - 1).astype("<i4")
    buffer.data = np.frombuffer(moved.tobytes(), np.uint8)  # type: ignore[union-attr]
