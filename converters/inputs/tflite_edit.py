"""Makes of somebody else's float ``.tflite`` file one that others can work on: float32 throughout, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.inputs.predictor import BOTH_BIAS, BOTH_KERNEL
from runtime.errors import ModelError
from runtime.op_names import operator_name

# Names of the numbers that a file must not work with to be a float one, and how people know it.
_INTEGERS = ("UINT8", "INT8", "INT16", "INT4")


def check_float(model: Any, name: str) -> None:
    """Make sure that nothing in a file is quantised.

    Args:
        model: a ``ModelT``.
        name: of the file, for the error.

    Raises:
        ModelError: it is, and in which way.
    """
    from ai_edge_litert.schema_py_generated import TensorType

    integers = {getattr(TensorType, kind, None): kind.lower() for kind in _INTEGERS}
    graph = model.subgraphs[0]
    found = [tensor for tensor in graph.tensors if tensor.type in integers and _scales(tensor)]
    if not found:
        return
    weights = [tensor for tensor in found if _has_data(model, tensor)] or found
    how = "its weights are" if len(weights) == len(found) else "its weights and activations are"
    raise ModelError(
        f"{name} is quantised already ({how} {integers[weights[0].type]}): what was rounded away is lost; give the "
        "float .tflite file, or the model it was made from"
    )


def widen_float16(model: Any) -> int:
    """Give constants that are stored as float16 and made float32 when the model runs their float32 values.

    Args:
        model: a ``ModelT``; it is changed.

    Returns:
        Number of constants.
    """
    from ai_edge_litert.schema_py_generated import BufferT, BuiltinOperator, TensorType

    changed = 0
    for graph in model.subgraphs:
        kept = []
        for operator in graph.operators:
            source = graph.tensors[operator.inputs[0]] if _code(model, operator) == BuiltinOperator.DEQUANTIZE else None
            if source is None or source.type != TensorType.FLOAT16 or not _has_data(model, source):
                kept.append(operator)
                continue
            values = np.asarray(model.buffers[source.buffer].data, np.uint8).view(np.float16).astype(np.float32)
            buffer = BufferT()
            buffer.data = values.view(np.uint8)
            graph.tensors[operator.outputs[0]].buffer = len(model.buffers)
            model.buffers.append(buffer)
            changed += 1
        graph.operators = kept
    if changed:
        _drop_halves(model)
    return changed


def _drop_halves(model: Any) -> None:
    """Empty the buffers that nothing reads any more, whose places stay, and drop operators from the list."""
    read = {
        graph.tensors[index].buffer
        for graph in model.subgraphs
        for operator in graph.operators
        for index in [*operator.inputs, *operator.outputs]
        if index >= 0
    }
    used = read | {entry.buffer for entry in model.metadata or ()}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.buffer not in used:
                tensor.buffer = 0
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    kept = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in kept]
    for operator in operators:
        operator.opcodeIndex = kept.index(operator.opcodeIndex)


class ScoresBehind:
    """Adds operators behind the output of a model until it gives what is wanted.

    Args:
        model: a ``ModelT`` with one output; it is changed.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._graph = model, model.subgraphs[0]

    def flat(self) -> None:
        """(1, 1, 1, classes) and the like as (1, classes)."""
        from ai_edge_litert.schema_py_generated import BuiltinOperator, BuiltinOptions, ReshapeOptionsT

        shape = [int(size) for size in self._tensor().shape]
        if len(shape) == 2:
            return
        wanted = np.array([1, shape[-1]], np.int32)
        options = ReshapeOptionsT()
        options.newShape = wanted
        place = self._constant("scores/shape", wanted)
        self._add(BuiltinOperator.RESHAPE, [self._output, place], wanted, BuiltinOptions.ReshapeOptions, options)

    def softmax(self) -> None:
        """Logits as probabilities; a single one as that of the second class."""
        from ai_edge_litert.schema_py_generated import BuiltinOperator, BuiltinOptions, SoftmaxOptionsT

        shape = self._tensor().shape
        if int(shape[-1]) == 1:
            self._add(BuiltinOperator.LOGISTIC, [self._output], shape, BuiltinOptions.NONE, None)
            return
        options = SoftmaxOptionsT()
        options.beta = 1.0
        self._add(BuiltinOperator.SOFTMAX, [self._output], shape, BuiltinOptions.SoftmaxOptions, options)

    def both(self) -> None:
        """One probability of the second of two classes as two."""
        from ai_edge_litert.schema_py_generated import BuiltinOperator, BuiltinOptions, FullyConnectedOptionsT

        # TensorFlow Lite keeps the kernel the other way round: (outputs, inputs).
        kernel = self._constant("scores/kernel", BOTH_KERNEL.T)
        inputs = [self._output, kernel, self._constant("scores/bias", BOTH_BIAS)]
        self._add(
            BuiltinOperator.FULLY_CONNECTED,
            inputs,
            [1, 2],
            BuiltinOptions.FullyConnectedOptions,
            FullyConnectedOptionsT(),
        )

    @property
    def _output(self) -> int:
        return int(self._graph.outputs[0])

    def _tensor(self) -> Any:
        return self._graph.tensors[self._output]

    def _new_tensor(self, name: str, shape: Sequence[int] | Any, kind: int) -> Any:
        from ai_edge_litert.schema_py_generated import TensorT

        tensor = TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), np.asarray(shape, np.int32), kind, 0
        self._graph.tensors.append(tensor)
        return tensor

    def _constant(self, name: str, values: Any) -> int:
        from ai_edge_litert.schema_py_generated import BufferT, TensorType

        kind = TensorType.INT32 if values.dtype == np.int32 else TensorType.FLOAT32
        tensor = self._new_tensor(name, values.shape, kind)
        tensor.buffer = len(self._model.buffers)
        buffer = BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._graph.tensors) - 1

    def _add(self, code: int, inputs: list[int], shape: Any, options_type: int, options: Any) -> None:
        from ai_edge_litert.schema_py_generated import OperatorT, TensorType

        self._new_tensor(f"scores/{operator_name(code).lower()}", shape, TensorType.FLOAT32)
        place = len(self._graph.tensors) - 1
        operator = OperatorT()
        operator.opcodeIndex = self._operator_code(code)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([place], np.int32)
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self._graph.operators.append(operator)
        self._replace_output(place)

    def _replace_output(self, place: int) -> None:
        """The graph's output, and that of signatures which name it."""
        old = self._output
        self._graph.outputs = np.array([place], np.int32)
        for signature in self._model.signatureDefs or ():
            for target in signature.outputs or ():
                if target.tensorIndex == old and signature.subgraphIndex == 0:
                    target.tensorIndex = place

    def _operator_code(self, code: int) -> int:
        """Position of the operator's code, version 1, in the model's list."""
        from ai_edge_litert.schema_py_generated import OperatorCodeT

        for index, known in enumerate(self._model.operatorCodes):
            if max(known.builtinCode, known.deprecatedBuiltinCode) == code and known.version == 1:
                return index
        added = OperatorCodeT()
        added.builtinCode = added.deprecatedBuiltinCode = code
        added.version = 1
        self._model.operatorCodes.append(added)
        return len(self._model.operatorCodes) - 1


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _scales(tensor: Any) -> bool:
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return scales is not None and len(scales) > 0


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0
