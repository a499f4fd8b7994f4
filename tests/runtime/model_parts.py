"""Parts of models, as the schema's package packs them."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

OPERATOR, TENSOR = schema.BuiltinOperator, schema.TensorType


def tensor(shape: list[int], kind: int = TENSOR.FLOAT32, buffer: int = 0, name: str = "t") -> Any:
    made = schema.TensorT()
    made.shape, made.type, made.buffer, made.name = shape, kind, buffer, name
    return made


def operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = code, inputs, outputs
    return made


def code(builtin: int, version: int = 1, custom: str | None = None) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode, made.deprecatedBuiltinCode = builtin, min(builtin, 127)
    made.version, made.customCode = version, custom
    return made


def buffer(data: bytes | None = None, offset: int = 0, size: int = 0) -> Any:
    made = schema.BufferT()
    made.data = None if data is None else np.frombuffer(data, np.uint8)
    made.offset, made.size = offset, size
    return made


def scaled(made: Any) -> Any:
    """The tensor with a scale, without which operators refuse whole numbers."""
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale, made.quantization.zeroPoint = [0.5], [0]
    return made


def chain(*codes: Any) -> Any:
    """A model of one-input operators in a row, each a tensor further, with a constant no operator uses."""
    graph = schema.SubGraphT()
    graph.tensors = [tensor([1, 4], name=f"t{n}") for n in range(len(codes) + 1)]
    graph.tensors.append(scaled(tensor([2, 3], TENSOR.INT8, buffer=1, name="constant")))
    weights = [len(codes) + 1]
    graph.operators = [
        operator(n, [n, *weights] if one.builtinCode == OPERATOR.FULLY_CONNECTED else [n], [n + 1])
        for n, one in enumerate(codes)
    ]
    graph.inputs, graph.outputs = [0], [len(codes)]
    model = schema.ModelT()
    model.version, model.description, model.subgraphs = 3, "made here", [graph]
    model.operatorCodes, model.buffers = list(codes), [buffer(), buffer(b"\1\2\3\4\5\6")]
    return model


def strides(operator: Any) -> None:
    """Gives a convolution the options without which it is refused."""
    options = schema.Conv2DOptionsT()
    options.strideW = options.strideH = 1
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options


def pack(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
