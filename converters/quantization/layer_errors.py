"""How much each layer of a quantised model differs from the same layer in float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import unpack_model
from converters.formats.float16 import from_float16
from converters.layerwise import LayerwiseModel
from converters.stored_values import real_values, stored_values, tensor_quantization
from converters.twins import find_twins
from runtime.errors import ModelError
from runtime.op_names import operator_name
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

#: Pictures that are looked at, at most.
PICTURES = 16
#: Decibels that stand for "no difference".
EXACT = 99.0


@dataclass(frozen=True)
class LayerError:
    """One operator of a quantised model against its twin in float.

    Attributes:
        layer: number of the operator, from 1.
        operator: its name in the schema.
        tensor: name of its output in the float model.
        own: signal to quantisation noise of its output when it is fed with what the float model has there, dB:
            what this layer does. About 6 dB less is one bit lost.
        so_far: the same when it is fed with what the layers before it gave: what all of them have done together.
        widest_channel: range of the widest channel over that of the middle one, of the output or of what it is fed
            with, whichever is more. Channels share one scale: where this is 100, most have two of 255 steps.
        quantized: whether it gives integers; False for a layer that a mixed model keeps in float.
    """

    layer: int
    operator: str
    tensor: str
    own: float
    so_far: float
    widest_channel: float
    quantized: bool


def layer_errors(
    quantized: bytes, float32: bytes, images: NDArray[Any], preprocessing: Preprocessing, pictures: int = PICTURES
) -> list[LayerError]:
    """Compare two models layer by layer.

    Args:
        quantized: a model with integer activations, made from ``float32``; some of its layers may be float ones.
        float32: a ``.tflite`` file: float32 (1, height, width, 3) -> float32.
        images: calibration pictures, (count, height, width, 3), 0..255.
        preprocessing: of the float model.
        pictures: how many of them to use at most, spread evenly.

    Returns:
        One a layer, in the order they run; none where the two have other operators.

    Raises:
        ModelError: no pictures; a damaged model, or one that does not run.
    """
    if not len(images):
        raise ModelError("the layers' errors are measured on calibration pictures, and there are none")
    chosen = images[np.unique(np.linspace(0, len(images) - 1, pictures).round().astype(int))]
    tensors = [normalize(np.rint(image), preprocessing)[None] for image in chosen]
    real, whole = (LayerwiseModel(unpack_model(from_float16(content)), tensors) for content in (float32, quantized))
    entry = int(whole.graph.inputs[0])
    whole.values[entry] = stored_values(whole, entry, tensors)
    twins = find_twins(whole, real)
    if twins is None:
        return []
    errors: list[LayerError] = []
    with quiet_stderr():
        for done, (operator, twin) in enumerate(zip(whole.operators, twins, strict=True), 1):
            if twin is not None:
                real_inputs = {i: real.values[j] for i, j in _fed(whole, operator, real, twin)}
                real.run(twin)
                errors.append(_compare(len(errors) + 1, whole, operator, real, twin, real_inputs))
            else:
                whole.run(operator)
            whole.forget(done)
            real.forget(len(errors))
    return errors


def _fed(whole: LayerwiseModel, operator: Any, real: LayerwiseModel, twin: Any) -> list[tuple[int, int]]:
    return list(zip(whole.fed(operator), real.fed(twin), strict=True))


def _compare(
    layer: int,
    whole: LayerwiseModel,
    operator: Any,
    real: LayerwiseModel,
    twin: Any,
    real_inputs: dict[int, list[NDArray[Any]]],
) -> LayerError:
    """Run the layer on exact inputs, then on its own; it is left with the outputs of the latter."""
    own_inputs = {index: whole.values[index] for index in real_inputs}
    index, real_index = int(operator.outputs[0]), int(twin.outputs[0])
    wanted = real.values[real_index]
    whole.values.update({i: stored_values(whole, i, values) for i, values in real_inputs.items()})
    whole.run(operator)
    own = _decibels(wanted, real_values(whole, index))
    whole.values.update(own_inputs)
    whole.run(operator)
    return LayerError(
        layer=layer,
        operator=operator_name(real.code(twin)),
        tensor=(real.graph.tensors[real_index].name or b"").decode(errors="replace"),
        own=own,
        so_far=_decibels(wanted, real_values(whole, index)),
        widest_channel=max(map(_widest, [wanted, *real_inputs.values()])),
        quantized=tensor_quantization(whole, index).is_quantized,
    )


def _decibels(wanted: Sequence[NDArray[Any]], got: Sequence[NDArray[Any]]) -> float:
    signal = sum(float(np.square(a, dtype=np.float64).sum()) for a in wanted)
    noise = sum(float(np.square(a - b, dtype=np.float64).sum()) for a, b in zip(wanted, got, strict=True))
    if not noise or not signal:
        return EXACT if not noise else 0.0
    return min(EXACT, 10 * float(np.log10(signal / noise)))


def _widest(values: Sequence[NDArray[Any]]) -> float:
    """The widest channel's range over the middle one's; 1 where the channels hold nothing."""
    rows = [value.reshape(-1, value.shape[-1]) for value in values]
    spans = np.max([row.max(axis=0) for row in rows], axis=0) - np.min([row.min(axis=0) for row in rows], axis=0)
    active = spans[spans > 0]
    return float(active.max() / np.median(active)) if len(active) else 1.0
