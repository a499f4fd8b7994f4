"""A float32 ``.tflite`` at half its size: weights stored in 16-bit floats, computed with in 32.

Each weight becomes a float16 constant with a DEQUANTIZE behind it, as TensorFlow's converter writes it: interpreters
unpack it once when they load the file, and accelerators that compute in 16 bits take it as it is.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel

#: A smaller constant stays as it is: a tensor and an operator more take as many bytes as are saved.
LEAST_VALUES = 128
# Enumeration values of the schema.
_FLOAT32, _FLOAT16 = 0, 1
_DEQUANTIZE = 6
# The DEQUANTIZE that takes float16, https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/tools/versioning
_DEQUANTIZE_VERSION = 3
# ADD, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, MUL, SUB, DIV, PRELU, TRANSPOSE_CONV, BATCH_MATMUL: operators that
# do not ask for a constant where a weight stands.
_READERS = frozenset((0, 3, 4, 9, 18, 41, 42, 54, 67, 126))
# Says that an accelerator may multiply in float16 if it adds up in float32.
_PRECISION = (b"reduced_precision_support", b"fp16accfp32")


def to_float16(float32: bytes) -> bytes:
    """Store weights in half the bytes.

    Args:
        float32: a ``.tflite`` file with float weights.

    Returns:
        The same network with the same inputs and outputs. Weights that float16 cannot hold (above 65504, or no
        numbers) stay as they were.

    Raises:
        ModelError: not a TFLite model, or one that cannot be rewritten.
    """
    model = unpack_model(float32)
    view = LayerwiseModel(model, [])
    outputs = set(map(int, view.graph.outputs))
    halves: dict[int, NDArray[np.float16]] = {}
    for index in _read(view):
        values = None if index in outputs else _half(view, index)
        if values is not None:
            halves[index] = values
    if not halves:
        return pack_model(model)
    opcode = _dequantize_opcode(model)
    view.graph.operators = [_unpacking(view, opcode, *half) for half in halves.items()] + view.operators
    _drop_unused_buffers(model)
    _add_metadata(model, *_PRECISION)
    return pack_model(model)


def _read(view: LayerwiseModel) -> list[int]:
    """Tensors that are read by nothing but operators that may read a weight, each once, in their order."""
    fit: dict[int, bool] = {}
    for operator in view.operators:
        for index in map(int, operator.inputs):
            fit[index] = fit.get(index, True) and view.code(operator) in _READERS
    return [index for index, fits in fit.items() if fits and index >= 0]


def _half(view: LayerwiseModel, index: int) -> NDArray[np.float16] | None:
    """The values of a weight, flat; None where it is none, or small, or not to be had in float16."""
    tensor = view.graph.tensors[index]
    if tensor.type != _FLOAT32 or tensor.isVariable or tensor.sparsity is not None:
        return None
    values = view.constant_values(index, "<f4")
    if values.size < LEAST_VALUES or not np.abs(values).max() <= np.finfo(np.float16).max:
        return None
    return values.astype("<f2")


def _unpacking(view: LayerwiseModel, opcode: int, index: int, half: NDArray[np.float16]) -> Any:
    """A DEQUANTIZE that gives tensor ``index`` from a new constant."""
    tensors, buffers = view.graph.tensors, view.model.buffers
    stored = copy.copy(tensors[index])
    stored.type, stored.buffer = _FLOAT16, len(buffers)
    stored.name = (tensors[index].name or b"weight") + b"/float16"
    buffers.append(_buffer(view.model, half.tobytes()))
    tensors.append(stored)
    tensors[index] = copy.copy(tensors[index])
    tensors[index].buffer = 0
    operator = copy.copy(view.operators[0])
    operator.opcodeIndex = opcode
    operator.inputs = np.array([len(tensors) - 1], np.int32)
    operator.outputs = np.array([index], np.int32)
    operator.intermediates = operator.mutatingVariableInputs = None
    operator.builtinOptionsType = operator.builtinOptions2Type = 0
    operator.builtinOptions = operator.builtinOptions2 = operator.customOptions = None
    return operator


def _dequantize_opcode(model: Any) -> int:
    opcode = copy.copy(model.operatorCodes[0])
    opcode.builtinCode = opcode.deprecatedBuiltinCode = _DEQUANTIZE
    opcode.version, opcode.customCode = _DEQUANTIZE_VERSION, None
    model.operatorCodes = [*model.operatorCodes, opcode]
    return len(model.operatorCodes) - 1


def _drop_unused_buffers(model: Any) -> None:
    """Empty what no tensor and no metadata refers to any more."""
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()} | set(map(int, _list(model.metadataBuffer)))
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            model.buffers[number] = copy.copy(buffer)
            model.buffers[number].data = None


def _add_metadata(model: Any, name: bytes, content: bytes) -> None:
    if any(entry.name == name for entry in model.metadata or ()):
        return
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(_buffer(model, content))
    model.metadata = [*(model.metadata or ()), entry]


def _buffer(model: Any, content: bytes) -> Any:
    buffer = copy.copy(model.buffers[0])
    buffer.data = np.frombuffer(content, np.uint8)
    return buffer


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)
