"""One scale for all the weights of a dense layer, for readers that know no other.

TensorFlow's converter gives each output of a dense layer a scale of its own since 2.17. TensorFlow Lite Micro of
before that takes the first for all of them and answers wrongly, of soon after refuses the model
(https://github.com/tensorflow/tflite-micro/pull/2602), Android's NNAPI refuses it
(https://github.com/google-ai-edge/LiteRT/issues/3596), and the Edge TPU's compiler, which is older, was never made
for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.micro_operators import code_name
from runtime.op_names import TENSOR_TYPES

# Symmetric: -128 is not used, https://ai.google.dev/edge/litert/models/quantization_spec
_GREATEST = 127


def per_channel_dense_layers(model: Any) -> list[Any]:
    """The dense layers of a ``ModelT`` whose int8 weights have more than one scale, as ``OperatorT``."""
    dense = {number for number, code in enumerate(model.operatorCodes) if code_name(code) == "FULLY_CONNECTED"}
    found = []
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            if operator.opcodeIndex in dense and len(_scales(graph.tensors[operator.inputs[1]])) > 1:
                found.append(operator)
    return found


def per_tensor_dense(content: bytes) -> bytes:
    """Give the int8 weights of each dense layer one scale; weights and bias are rounded anew.

    Args:
        content: of a ``.tflite`` file; what is appended to it (labels and the like) is lost.

    Returns:
        Another; the same bytes where there is nothing to do.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    model = unpack_model(content)
    layers = per_channel_dense_layers(model)
    if not layers:
        return content
    for graph in model.subgraphs:
        done: dict[int, tuple[NDArray[np.float64], float]] = {}
        for operator in graph.operators or ():
            if any(operator is layer for layer in layers):
                _rescale(model, graph, operator, done)
    return pack_model(model)


def _scales(tensor: Any) -> NDArray[np.float64]:
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return np.zeros(0) if scales is None else np.asarray(scales, np.float64)


def _rescale(model: Any, graph: Any, operator: Any, done: dict[int, tuple[NDArray[np.float64], float]]) -> None:
    """One layer; ``done`` has the old and new scales of weights that an earlier layer shares with it."""
    source, weights = graph.tensors[operator.inputs[0]], graph.tensors[operator.inputs[1]]
    if operator.inputs[1] not in done:
        old = _scales(weights)
        real = _numbers(model, weights) * old[:, None]
        new = max(float(np.abs(real).max()) / _GREATEST, np.finfo(np.float32).tiny)
        _store(model, weights, np.rint(real / new).clip(-_GREATEST, _GREATEST))
        _set_scale(weights, new)
        done[operator.inputs[1]] = (old, new)
    old, new = done[operator.inputs[1]]
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        bias = graph.tensors[operator.inputs[2]]
        limits = np.iinfo(TENSOR_TYPES[bias.type][0])
        _store(model, bias, np.rint(_numbers(model, bias) * (old / new)).clip(limits.min, limits.max))
        _set_scale(bias, float(_scales(source)[0]) * new)


def _numbers(model: Any, tensor: Any) -> NDArray[np.float64]:
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8)
    numbers: NDArray[np.float64] = data.view(TENSOR_TYPES[tensor.type][0]).reshape(tensor.shape).astype(np.float64)
    return numbers


def _store(model: Any, tensor: Any, numbers: NDArray[np.float64]) -> None:
    """In a buffer of its own: the converter lets tensors of equal content share one."""
    from ai_edge_litert.schema_py_generated import BufferT

    sharing = sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors)
    if sharing > 1:
        tensor.buffer = len(model.buffers)
        model.buffers.append(BufferT())
    model.buffers[tensor.buffer].data = numbers.astype(TENSOR_TYPES[tensor.type][0]).reshape(-1).view(np.uint8)


def _set_scale(tensor: Any, scale: float) -> None:
    quantization = tensor.quantization
    quantization.scale = np.array([scale], np.float32)
    quantization.zeroPoint = np.array([0], np.int64)
    quantization.quantizedDimension = 0
    quantization.min = quantization.max = None
