"""Models small enough to know every number of: their scores are the mean colour of what goes in."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.flatbuffer_model import pack_model

DTYPES = {"float32": schema.TensorType.FLOAT32, "uint8": schema.TensorType.UINT8, "int8": schema.TensorType.INT8}
OPERATORS = {"SOFTMAX": schema.BuiltinOperator.SOFTMAX, "LOG": schema.BuiltinOperator.LOG, "custom": 32}


def mean_colour_model(
    dtype: str = "float32",
    *,
    size: tuple[int, int] = (8, 8),
    scale: float = 0.0,
    zero_point: int = 0,
    then: str | None = None,
    inputs: int = 1,
    channels: int = 3,
    signature: list[int] | None = None,
    custom: str = "Nonsense",
) -> bytes:
    """(1, height, width, channels) -> (1, channels), the mean over the picture in the input's own numbers.

    Args:
        dtype: of input and output.
        size: height and width.
        scale: of input and output; 0 leaves them without quantisation.
        zero_point: the same.
        then: an operator behind the mean: ``SOFTMAX``, ``LOG``, or ``custom``, which no interpreter has.
        inputs: number of inputs; the mean is that of the first.
        channels: of the input.
        signature: shape signature of the input; -1 stands for any size.
        custom: name of the custom operator.
    """
    kind = DTYPES[dtype]
    tensors = [
        _tensor("pixels", [1, *size, channels], kind, scale, zero_point),
        _tensor("axes", [2], schema.TensorType.INT32),
        _tensor("mean", [1, channels], kind, scale, zero_point),
    ]
    tensors[0].shapeSignature = signature
    tensors[1].buffer = 1
    steps = [_operator(0, [0, 1], 2, schema.BuiltinOptions.ReducerOptions, schema.ReducerOptionsT())]
    codes = [_code(schema.BuiltinOperator.MEAN, None)]
    if then:
        tensors.append(_tensor("scores", [1, channels], kind, scale, zero_point))
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        softmax = (schema.BuiltinOptions.SoftmaxOptions, options) if then == "SOFTMAX" else (0, None)
        steps.append(_operator(1, [2], 3, *softmax))
        codes.append(_code(OPERATORS[then], custom if then == "custom" else None))
    graph = schema.SubGraphT()
    first_output = len(tensors) - 1
    tensors += [_tensor(f"more{n}", [1, *size, channels], kind) for n in range(1, inputs)]
    graph.inputs, graph.outputs = [0, *range(first_output + 1, len(tensors))], [first_output]
    graph.tensors, graph.operators = tensors, steps
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], codes
    axes = schema.BufferT()
    axes.data = np.frombuffer(np.array([1, 2], np.int32).tobytes(), np.uint8)
    model.buffers = [schema.BufferT(), axes]
    return pack_model(model)


def _tensor(name: str, shape: list[int], kind: int, scale: float = 0.0, zero_point: int = 0) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, shape, kind
    if scale:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
    return tensor


def _operator(code: int, inputs: list[int], output: int, kind: int, options: Any) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, [output]
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def _code(builtin: int, custom: str | None) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version, code.customCode = 1, custom
    return code
