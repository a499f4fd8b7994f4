"""Runs a ``.tflite`` model one operator at a time, so that each can be looked at and changed before the next."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model
from runtime.interpreter import OperatorRunner, default_threads

# Enumeration values of the schema's BuiltinOperator that only change the number format.
_QUANTIZE, _DEQUANTIZE = 114, 6


class LayerwiseModel:
    """A model whose operators are run by hand, in their order, over a list of inputs.

    Args:
        model: a ``ModelT`` with one subgraph and one input.
        inputs: values of its input, one a picture.

    Attributes:
        operators: in the order they run.
        values: tensor index -> its values, one a picture; only of tensors that some later operator reads.
    """

    def __init__(self, model: Any, inputs: list[NDArray[Any]]) -> None:
        self.model = model
        self.graph = model.subgraphs[0]
        self.operators: list[Any] = list(self.graph.operators)
        self.values: dict[int, list[NDArray[Any]]] = {int(self.graph.inputs[0]): inputs}

    def code(self, operator: Any) -> int:
        """The operator's number in the schema's BuiltinOperator."""
        entry = self.model.operatorCodes[operator.opcodeIndex]
        return int(max(entry.builtinCode, entry.deprecatedBuiltinCode))

    def changes_format_only(self, operator: Any) -> bool:
        """Whether it is a QUANTIZE or DEQUANTIZE."""
        return self.code(operator) in {_QUANTIZE, _DEQUANTIZE}

    def constant(self, tensor_index: int) -> Any | None:
        """The buffer of a constant tensor, else None."""
        buffer = self.model.buffers[self.graph.tensors[tensor_index].buffer]
        return buffer if buffer.data is not None and len(buffer.data) else None

    def constant_values(self, tensor_index: int, dtype: str) -> NDArray[Any]:
        """The values of a constant tensor, flat; empty where it is none."""
        buffer = self.constant(tensor_index)
        return np.frombuffer(b"" if buffer is None else np.asarray(buffer.data, np.uint8).tobytes(), dtype)

    def readers(self, tensor_index: int) -> list[Any]:
        """The operators that read a tensor."""
        return [operator for operator in self.operators if tensor_index in map(int, operator.inputs)]

    def fed(self, operator: Any) -> list[int]:
        """Indices of the tensors that the operator computes with and that are no constants, each once."""
        return list(dict.fromkeys(int(i) for i in operator.inputs if i >= 0 and self.constant(int(i)) is None))

    def run(self, operator: Any) -> None:
        """Compute the operator's outputs for every picture."""
        fed = self.fed(operator)
        content = pack_model(self._slice(operator, fed))
        pictures = list(zip(*(self.values[i] for i in fed), strict=True))
        workers = max(1, min(default_threads(), len(pictures)))

        def part(number: int) -> list[list[NDArray[Any]]]:
            runner = OperatorRunner(content, threads=1)
            return [runner.run(*tensors) for tensors in pictures[number::workers]]

        # Two interpreters of one thread each keep two cores busier than one interpreter of two threads.
        with ThreadPoolExecutor(workers) as pool:
            parts = list(pool.map(part, range(workers)))
        produced = [parts[number % workers][number // workers] for number in range(len(pictures))]
        for position, index in enumerate(operator.outputs):
            self.values[int(index)] = [outputs[position] for outputs in produced]

    def forget(self, done: int) -> None:
        """Drop the values that no operator after the first ``done`` ones reads."""
        needed = {int(i) for operator in self.operators[done:] for i in operator.inputs}
        self.values = {index: value for index, value in self.values.items() if index in needed}

    def _slice(self, operator: Any, fed: list[int]) -> Any:
        """A model of this operator alone, with the constants it reads."""
        used = list(dict.fromkeys(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0))
        place = {index: position for position, index in enumerate(used)}
        part = copy.copy(self.model)
        part.buffers = [copy.copy(self.model.buffers[0])]
        part.buffers[0].data = None
        part.metadata, part.metadataBuffer, part.signatureDefs = [], None, []
        graph = copy.copy(self.graph)
        graph.tensors = []
        for index in used:
            tensor = copy.copy(self.graph.tensors[index])
            constant = self.constant(index)
            tensor.buffer = len(part.buffers) if constant is not None else 0
            if constant is not None:
                part.buffers.append(constant)
            graph.tensors.append(tensor)
        alone = copy.copy(operator)
        alone.inputs = np.array([place.get(int(i), -1) for i in operator.inputs], np.int32)
        alone.outputs = np.array([place[int(i)] for i in operator.outputs], np.int32)
        graph.operators = [alone]
        graph.inputs = np.array([place[i] for i in fed], np.int32)
        graph.outputs = alone.outputs
        part.subgraphs = [graph]
        return part
