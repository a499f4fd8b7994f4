"""Writes HARD_SWISH as sums and products, for quantisers that do not know it.

TensorFlow's quantiser for 16-bit activations refuses it, and with it MobileNet v3.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel

# Enumeration values of the schema: BuiltinOperator, BuiltinOptions, ActivationFunctionType.
_ADD, _MUL, _HARD_SWISH = 0, 18, 117
_ADD_OPTIONS, _MUL_OPTIONS = 11, 21
_NONE, _RELU6 = 0, 3


def without_hard_swish(float32: bytes) -> bytes:
    """A network that answers the same, with ``x relu6(x + 3) / 6`` where there was HARD_SWISH.

    A. Howard et al., "Searching for MobileNetV3", https://arxiv.org/abs/1905.02244, section 5.2.

    Args:
        float32: a ``.tflite`` file with float activations.

    Returns:
        The file as it is where there is no HARD_SWISH; else other operators and more tensors. Those that were
        there keep their numbers.

    Raises:
        ModelError: not a TFLite model, or one that cannot be rewritten.
    """
    model = unpack_model(float32)
    view = LayerwiseModel(model, [])
    replaced = [view.code(operator) == _HARD_SWISH for operator in view.operators]
    if not any(replaced):
        return float32
    writer = _Writer(model)
    operators: list[Any] = []
    for operator, is_replaced in zip(view.operators, replaced, strict=True):
        if not is_replaced:
            operators.append(operator)
            continue
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        gate, part = (writer.like(target, ending) for ending in (b"/gate", b"/part"))
        operators += [
            writer.operator(_ADD, (source, writer.three), gate, _RELU6),
            writer.operator(_MUL, (gate, writer.sixth), part, _NONE),
            writer.operator(_MUL, (source, part), target, _NONE),
        ]
    view.graph.operators = operators
    return pack_model(model)


class _Writer:
    """Adds operators and tensors to a model."""

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]
        self._opcodes = {code: self._opcode(code) for code in (_ADD, _MUL)}
        self.three, self.sixth = self._constant(b"three", 3.0), self._constant(b"sixth", 1 / 6)

    def like(self, index: int, ending: bytes) -> int:
        """A new tensor of another's shape."""
        tensor = copy.copy(self._graph.tensors[index])
        tensor.name, tensor.buffer = (tensor.name or b"") + ending, 0
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def operator(self, code: int, inputs: tuple[int, int], output: int, activation: int) -> Any:
        """A sum or a product."""
        from ai_edge_litert import schema_py_generated as schema

        made = schema.OperatorT()
        made.opcodeIndex = self._opcodes[code]
        made.inputs, made.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        made.builtinOptionsType = _ADD_OPTIONS if code == _ADD else _MUL_OPTIONS
        made.builtinOptions = schema.AddOptionsT() if code == _ADD else schema.MulOptionsT()
        made.builtinOptions.fusedActivationFunction = activation
        return made

    def _opcode(self, code: int) -> int:
        from ai_edge_litert import schema_py_generated as schema

        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        made.version = 1
        codes = self._model.operatorCodes
        # In place of HARD_SWISH, which nothing is any more: interpreters ask for all operators that are listed.
        unused = [n for n, entry in enumerate(codes) if entry.builtinCode == _HARD_SWISH]
        number = unused[0] if unused else len(codes)
        codes[number : number + 1] = [made]
        return number

    def _constant(self, name: bytes, value: float) -> int:
        from ai_edge_litert import schema_py_generated as schema

        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.array([value], "<f4").tobytes(), np.uint8)
        tensor.name, tensor.shape, tensor.buffer = name, np.array([1], np.int32), len(self._model.buffers)
        self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1
