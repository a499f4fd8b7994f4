"""A float32 ``.tflite`` at a quarter of its size: weights in int8, inputs, outputs and activations in float32.

The interpreter quantises each layer's input when it runs and multiplies integers ("hybrid" operators). No calibration
pictures are needed. Weights are as TensorFlow's converter stores them, but a dense layer has one scale for all: a
scale a row makes it FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel

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


def to_dynamic(float32: bytes) -> bytes:
    """Store the weights of convolutions and dense layers in int8.

    Args:
        float32: a ``.tflite`` file with float weights.

    Returns:
        The same network with the same inputs and outputs. Small weights, weights that are no numbers and those of
        dilated or grouped convolutions stay as they were.

    Raises:
        ModelError: not a TFLite model, or one that cannot be rewritten.
    """
    model = unpack_model(float32)
    view = LayerwiseModel(model, [])
    for operator in view.operators:
        code = view.code(operator)
        if code not in _VERSION or not _takes_integers(view, operator):
            continue
        index = int(operator.inputs[_WEIGHT])
        tensor = view.graph.tensors[index]
        if tensor.type == _FLOAT32:  # else it is of several operators, and done
            if (weights := _weights(view, index)) is None:
                continue
            _store(view, index, weights, _CHANNEL_AXIS[code])
        if code == _FULLY_CONNECTED:
            operator.builtinOptions = copy.copy(operator.builtinOptions)
            operator.builtinOptions.asymmetricQuantizeInputs = True
        opcode = model.operatorCodes[operator.opcodeIndex]
        opcode.version = max(opcode.version, _VERSION[code])
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
    values = view.constant_values(index, "<f4")
    if values.size < LEAST_VALUES or not np.isfinite(values).all():
        return None
    return values.reshape([int(n) for n in view.graph.tensors[index].shape])


def _store(view: LayerwiseModel, index: int, weights: NDArray[np.float32], axis: int | None) -> None:
    """Put integers in place of the weights."""
    from ai_edge_litert import schema_py_generated as schema

    others = tuple(n for n in range(weights.ndim) if n != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    # A channel of zeros may have any scale; so has one whose values are too small for a scale in float32.
    scales = np.where(largest < _LARGEST * np.finfo(np.float32).tiny, 1, largest / _LARGEST).astype(np.float32)
    integers = np.rint(weights / scales).clip(-_LARGEST, _LARGEST).astype(np.int8)
    quantization = schema.QuantizationParametersT()
    quantization.scale = scales.reshape(-1)
    quantization.zeroPoint = np.zeros(scales.size, np.int64)
    quantization.quantizedDimension = axis or 0
    tensors, buffers = view.graph.tensors, view.model.buffers
    buffer = copy.copy(buffers[tensors[index].buffer])
    buffer.data = np.frombuffer(integers.tobytes(), np.uint8)
    tensors[index] = copy.copy(tensors[index])
    tensors[index].type, tensors[index].quantization = _INT8, quantization
    if sum(other.buffer == tensors[index].buffer for graph in view.model.subgraphs for other in graph.tensors) > 1:
        buffers.append(buffer)
        tensors[index].buffer = len(buffers) - 1
    else:
        buffers[tensors[index].buffer] = buffer
