"""A float32 ``.tflite`` at a quarter of its size: weights in int8, inputs, outputs and activations in float32.

The interpreter quantises each layer's input when it runs and multiplies integers ("hybrid" operators). No calibration
pictures are needed; with some, biases take back what rounding shifts: the mean difference of a score to float32 was
0.0020 on 270 photographs of flowers (MobileNet v1), 0.0057 without and 0.0058 with TensorFlow's converter. Weights are
as that stores them, but a dense layer has one scale for all: a scale a row makes it FULLY_CONNECTED version 12, which
tflite-runtime 2.14 refuses.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel
from converters.mean_inputs import Means, drop_unused_buffers, shift_bias

#: Weights of fewer values stay in float, as with TensorFlow's converter: they save nothing and cost accuracy.
LEAST_VALUES = 1024
# Enumeration values of the schema.
_FLOAT32, _INT8 = 0, 9
_CONV, _DEPTHWISE, _FULLY_CONNECTED = 3, 4, 9
# Where a weight stands among an operator's inputs.
_WEIGHT = 1
# The axis of a weight that has a scale for each place; None: one scale for all.
_CHANNEL_AXIS = {_CONV: 0, _DEPTHWISE: 3, _FULLY_CONNECTED: None}
# Operator versions that take int8 weights with float activations, scales a channel, and asymmetric activations.
# https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/tools/versioning/op_version.cc
_VERSION = {_CONV: 5, _DEPTHWISE: 6, _FULLY_CONNECTED: 9}
# Largest integer: -128 is not used, so that the scheme is symmetric.
_LARGEST = 127


def to_dynamic(float32: bytes, means: Means | None = None) -> bytes:
    """Store the weights of convolutions and dense layers in int8.

    Args:
        float32: a ``.tflite`` file with float weights.
        means: of ``mean_inputs``; None leaves the biases as they are.

    Returns:
        The same network with the same inputs and outputs. Small weights, weights that are no numbers and those of
        dilated or grouped convolutions stay as they were.

    Raises:
        ModelError: not a TFLite model, or one that cannot be rewritten.
    """
    model = unpack_model(float32)
    view = LayerwiseModel(model, [])
    stored: dict[int, _Rounded] = {}
    for operator in view.operators:
        code = view.code(operator)
        if code not in _VERSION or not _takes_integers(view, operator):
            continue
        index = int(operator.inputs[_WEIGHT])
        if (weights := _weights(view, index)) is None:
            continue
        rounded = stored[index] = stored.get(index) or _round(weights, _CHANNEL_AXIS[code])
        shift_bias(view, operator, weights - rounded.real(), means)
        if code == _FULLY_CONNECTED:
            operator.builtinOptions = copy.copy(operator.builtinOptions)
            operator.builtinOptions.asymmetricQuantizeInputs = True
        opcode = model.operatorCodes[operator.opcodeIndex]
        opcode.version = max(opcode.version, _VERSION[code])
    for index, rounded in stored.items():
        _store(view, index, rounded)
    drop_unused_buffers(model)
    return pack_model(model)


def take_back_rounding(float32: bytes, means: Means) -> bytes:
    """A float network whose biases make up for what its weights will lose when they are rounded to int8.

    For quantisers that do not correct biases themselves, such as that of int16x8.

    Args:
        float32: a ``.tflite`` file with float weights.
        means: of ``mean_inputs``.

    Returns:
        The network with other biases: right once its weights are rounded, a little off until then.
    """
    model = unpack_model(float32)
    view = LayerwiseModel(model, [])
    for operator in view.operators:
        if (code := view.code(operator)) not in _VERSION:
            continue
        index = int(operator.inputs[_WEIGHT])
        if view.graph.tensors[index].type != _FLOAT32 or view.constant(index) is None:
            continue
        weights = view.constant_values(index, "<f4").reshape([int(n) for n in view.graph.tensors[index].shape])
        if np.isfinite(weights).all():
            shift_bias(view, operator, weights - _round(weights, _CHANNEL_AXIS[code]).real(), means)
    drop_unused_buffers(model)
    return pack_model(model)


def _takes_integers(view: LayerwiseModel, operator: Any) -> bool:
    """Whether interpreters can run it with an int8 weight, and nothing else reads that weight in another way."""
    index, options = int(operator.inputs[_WEIGHT]), operator.builtinOptions
    tensor = view.graph.tensors[index]
    if tensor.isVariable or tensor.sparsity is not None or index in map(int, view.graph.outputs):
        return False
    if view.code(operator) == _FULLY_CONNECTED:
        if options is None or options.weightsFormat != 0:
            return False
    elif max(options.dilationWFactor, options.dilationHFactor) > 1:
        return False
    elif view.code(operator) == _CONV:
        source = view.graph.tensors[int(operator.inputs[0])]
        if int(source.shape[-1]) != int(tensor.shape[-1]):
            return False
    return all(
        view.code(reader) == view.code(operator) and [i for i, read in enumerate(reader.inputs) if read == index] == [1]
        for reader in view.readers(index)
    )


def _weights(view: LayerwiseModel, index: int) -> NDArray[np.float32] | None:
    """Of a large enough constant, in its shape."""
    if view.graph.tensors[index].type != _FLOAT32:
        return None
    values = view.constant_values(index, "<f4")
    if values.size < LEAST_VALUES or not np.isfinite(values).all():
        return None
    return values.reshape([int(n) for n in view.graph.tensors[index].shape])


@dataclass(frozen=True)
class _Rounded:
    """Weights as integers, their scales in a shape that goes with them, and the axis that these lie along."""

    integers: NDArray[np.int8]
    scales: NDArray[np.float32]
    axis: int | None

    def real(self) -> NDArray[np.float32]:
        return self.integers * self.scales


def _round(weights: NDArray[np.float32], axis: int | None) -> _Rounded:
    others = tuple(n for n in range(weights.ndim) if n != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    # A channel of zeros may have any scale; so has one whose values are too small for a scale in float32.
    scales = np.where(largest < _LARGEST * np.finfo(np.float32).tiny, 1, largest / _LARGEST).astype(np.float32)
    return _Rounded(np.rint(weights / scales).clip(-_LARGEST, _LARGEST).astype(np.int8), scales, axis)


def _store(view: LayerwiseModel, index: int, rounded: _Rounded) -> None:
    """Put integers in place of the weights."""
    from ai_edge_litert import schema_py_generated as schema

    quantization = schema.QuantizationParametersT()
    quantization.scale = rounded.scales.reshape(-1)
    quantization.zeroPoint = np.zeros(rounded.scales.size, np.int64)
    quantization.quantizedDimension = rounded.axis or 0
    tensors, buffers = view.graph.tensors, view.model.buffers
    buffer = copy.copy(buffers[0])
    buffer.data = np.frombuffer(rounded.integers.tobytes(), np.uint8)
    buffers.append(buffer)
    tensors[index] = copy.copy(tensors[index])
    tensors[index].type, tensors[index].quantization = _INT8, quantization
    tensors[index].buffer = len(buffers) - 1
