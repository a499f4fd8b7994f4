"""A float ``.tflite`` network as TensorFlow operations whose weights can be trained and written back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.quantization.operation import Operation, Shape
from converters.quantization.tensor_operations import compute
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError

# TensorType of the schema -> dtype of constants that an operator may read.
_DTYPES = {0: "<f4", 2: "<i4", 4: "<i8"}
# Operators with weights -> the axis of their kernel that counts output channels: OHWI, 1HWO and OI.
_CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


@dataclass(frozen=True)
class WeightedLayer:
    """A convolution or dense layer whose weights are constants.

    Attributes:
        source: tensor index of its input.
        kernel: tensor index; no other layer reads it.
        bias: the same; None without one.
        output: tensor index.
        axis: of the kernel, the one that counts output channels.
        name: of its operator.
    """

    source: int
    kernel: int
    bias: int | None
    output: int
    axis: int
    name: str


@dataclass(frozen=True)
class Step:
    """One operator: its name in the schema, options and tensor indices (-1: left out)."""

    name: str
    options: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _unchanged(_index: int, value: Any) -> Any:
    return value


class RebuiltNetwork:
    """The network of a file.

    Args:
        content: a float32 ``.tflite`` file with one subgraph, one input and one output.

    Attributes:
        steps: its operators, in their order.
        layers: those with weights, in their order.
        constants: tensor index -> values in the file's layout; kernels and biases are there too.
        input: tensor index.
        output: tensor index.

    Raises:
        ModelError: not such a file.
        MissingPackageError: TensorFlow is not installed.
    """

    def __init__(self, content: bytes) -> None:
        import_tensorflow()
        self._model = unpack_model(content)
        if len(self._model.subgraphs) != 1:
            raise ModelError(f"a network of {len(self._model.subgraphs)} graphs cannot be finetuned")
        self._graph = self._model.subgraphs[0]
        if len(self._graph.inputs) != 1 or len(self._graph.outputs) != 1:
            raise ModelError(
                f"only a network with one input and one output can be finetuned, "
                f"not with {len(self._graph.inputs)} and {len(self._graph.outputs)}"
            )
        self.input, self.output = int(self._graph.inputs[0]), int(self._graph.outputs[0])
        self._give_each_its_own()
        self.steps = [self._step(operator) for operator in self._graph.operators]
        self.constants = self._constants()
        found = [self._layer(step) for step in self.steps]
        self.layers = [layer for layer in found if layer is not None]

    def shape(self, tensor: int) -> Shape:
        """Of a tensor, as the file says it: the batch is one."""
        shape = self._graph.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def map_bytes(self) -> int:
        """What all feature maps of one picture take together."""
        return sum(4 * math.prod(self.shape(index)) for step in self.steps for index in step.outputs)

    def forward(
        self,
        images: Any,
        weights: Mapping[int, Any] | None = None,
        after: Callable[[int, Any], Any] = _unchanged,
    ) -> dict[int, Any]:
        """Compute the network.

        Args:
            images: normalised pictures, float32 (batch, height, width, 3).
            weights: tensor index -> what takes the place of a constant.
            after: given each operator's output with its tensor index; what it returns goes on.

        Returns:
            Tensor index -> value, of every tensor that is no constant.

        Raises:
            ModelError: an operator that is not known here.
        """
        replaced = weights or {}
        values: dict[int, Any] = {self.input: images}

        def value(index: int) -> Any:
            if index < 0:
                return None
            if index in values:
                return values[index]
            if index in replaced:
                return replaced[index]
            if index not in self.constants:
                raise ModelError(f"tensor {index} of the network is read before it is computed")
            return self.constants[index]

        for step in self.steps:
            operation = Operation(
                step.name,
                step.options,
                tuple(value(index) for index in step.inputs),
                tuple(() if index < 0 else self.shape(index) for index in step.inputs),
                tuple(self.shape(index) for index in step.outputs),
            )
            for index, result in zip(step.outputs, compute(operation), strict=True):
                values[index] = after(index, result)
        return values

    def write(self, weights: Mapping[int, NDArray[np.float32]]) -> bytes:
        """The file with other values of some constants.

        Args:
            weights: tensor index -> values of the constant's shape.
        """
        for index, values in weights.items():
            buffer = copy.copy(self._model.buffers[self._graph.tensors[index].buffer])
            buffer.data = np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)
            self._model.buffers[self._graph.tensors[index].buffer] = buffer
        return pack_model(self._model)

    def _step(self, operator: Any) -> Step:
        entry = self._model.operatorCodes[operator.opcodeIndex]
        code = int(max(entry.builtinCode, entry.deprecatedBuiltinCode))
        name = _operator_names().get(code, f"operator {code}")
        inputs, outputs = (tuple(int(i) for i in indices) for indices in (operator.inputs, operator.outputs))
        return Step(name, operator.builtinOptions, inputs, outputs)

    def _data(self, tensor: Any) -> Any | None:
        data = self._model.buffers[tensor.buffer].data
        return data if data is not None and len(data) else None

    def _constants(self) -> dict[int, NDArray[Any]]:
        read = {index for step in self.steps for index in step.inputs if index >= 0}
        constants = {}
        for index in sorted(read):
            tensor = self._graph.tensors[index]
            data = self._data(tensor)
            if data is None:
                continue
            if tensor.type not in _DTYPES:
                raise ModelError("only a network of float32 weights can be finetuned: convert it from the original")
            values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[tensor.type])
            constants[index] = values.reshape(self.shape(index))
        return constants

    def _layer(self, step: Step) -> WeightedLayer | None:
        axis = _CHANNEL_AXES.get(step.name)
        if axis is None or step.inputs[1] not in self.constants:
            return None
        bias = step.inputs[2] if len(step.inputs) > 2 and step.inputs[2] >= 0 else None
        if bias is not None and bias not in self.constants:  # computed
            return None
        return WeightedLayer(step.inputs[0], step.inputs[1], bias, step.outputs[0], axis, step.name)

    def _give_each_its_own(self) -> None:
        """Copy weights that several layers share: the converter keeps equal constants once."""
        taken: set[int] = set()
        for operator in self._graph.operators:
            if self._step(operator).name not in _CHANNEL_AXES:
                continue
            operator.inputs = np.array(operator.inputs, np.int32)
            for place in range(1, len(operator.inputs)):
                index = int(operator.inputs[place])
                tensor = None if index < 0 else self._graph.tensors[index]
                if tensor is None or self._data(tensor) is None:
                    continue
                if tensor.buffer in taken:
                    operator.inputs[place] = self._copied(tensor)
                taken.add(self._graph.tensors[operator.inputs[place]].buffer)

    def _copied(self, tensor: Any) -> int:
        """Index of a new constant of the same values, under a name of its own."""
        twin = copy.copy(tensor)
        twin.buffer = len(self._model.buffers)
        twin.name = bytes(tensor.name or b"constant") + b";%d" % len(self._graph.tensors)
        self._model.buffers.append(copy.copy(self._model.buffers[tensor.buffer]))
        self._graph.tensors.append(twin)
        return len(self._graph.tensors) - 1


@cache
def _operator_names() -> dict[int, str]:
    from ai_edge_litert import schema_py_generated as schema

    members = vars(schema.BuiltinOperator).items()
    return {value: name for name, value in members if isinstance(value, int)}
