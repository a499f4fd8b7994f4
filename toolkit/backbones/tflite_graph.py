"""Writes a layered backbone as a float32 TFLite file, in milliseconds and without TensorFlow.

The schema is TFLite's (``tensorflow/compiler/mlir/lite/schema/schema.fbs``), through the classes that come with
ai-edge-litert. Batch normalisation is folded into the convolution before it, as every TFLite converter does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model
from toolkit.backbones.layers import BATCH_NORM_EPSILON, ConvLayer
from toolkit.backbones.pooling import MAX_FACTOR, Pooling

Weights = Mapping[str, NDArray[np.float32]]


def fold_batch_norm(layer: ConvLayer, weights: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel (same shape as ``layer.name/kernel``) and bias (channels,) that include the normalisation.

    Computed in float64 and rounded once.
    """
    part = {p: weights[f"{layer.batch_norm}/{p}"].astype(np.float64) for p in ("gamma", "beta")}
    mean = weights[f"{layer.batch_norm}/moving_mean"].astype(np.float64)
    variance = weights[f"{layer.batch_norm}/moving_variance"].astype(np.float64)
    factor = part["gamma"] / np.sqrt(variance + BATCH_NORM_EPSILON)
    kernel = weights[f"{layer.name}/kernel"].astype(np.float64)
    scaled = kernel * (factor[:, None] if layer.depthwise else factor)
    return scaled.astype(np.float32), (part["beta"] - mean * factor).astype(np.float32)


def write_backbone(layers: tuple[ConvLayer, ...], weights: Weights, input_size: int, pooling: Pooling = "avg") -> bytes:
    """Build the file: input float32 (1, size, size, 3), output float32 (1, features).

    Args:
        layers: as ``layers_of`` gives them.
        weights: ``name/kernel`` and the four batch normalisation vectors of every layer, float32.
        input_size: height and width in pixels.
        pooling: of the last map.

    Returns:
        The bytes of a ``.tflite`` file; its operators (CONV_2D, DEPTHWISE_CONV_2D, ADD, MEAN; with ``avg-max``
        MAX_POOL_2D, MUL, CONCATENATION; version 1 of each) load on every TFLite runtime.
    """
    graph = _Graph()
    name = graph.input("image", (1, input_size, input_size, 3))
    size = input_size
    outputs: dict[str, str] = {}
    for layer in layers:
        size = -(-size // layer.stride)
        name = graph.convolution(layer, weights, name, size)
        if layer.adds is not None:
            name = graph.add(f"{layer.name}_add", outputs[layer.adds], name)
        outputs[layer.name] = name
    graph.pool("features", name, pooling)
    return graph.serialize()


class _Graph:
    """Collects tensors, buffers and operators of one subgraph."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model: Any = schema.ModelT()
        self.model.version = 3
        self.model.description = b"edge-export-toolkit backbone"
        self.model.operatorCodes = []
        self.model.buffers = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self.subgraph: Any = schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators = [], []
        self.model.subgraphs = [self.subgraph]
        self.index: dict[str, int] = {}
        self.codes: dict[int, int] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        self.subgraph.inputs = [self.tensor(name, shape)]
        return name

    def tensor(self, name: str, shape: tuple[int, ...], data: NDArray[Any] | None = None) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = name.encode(), list(shape)
        tensor.type = self.schema.TensorType.FLOAT32
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
            if data.dtype == np.int32:
                tensor.type = self.schema.TensorType.INT32
        self.index[name] = len(self.subgraph.tensors)
        self.subgraph.tensors.append(tensor)
        return self.index[name]

    def operator(self, kind: int, options_type: int, options: Any, inputs: list[int], output: int) -> None:
        if kind not in self.codes:
            code = self.schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind  # all ours are below 127
            code.version = 1
            self.codes[kind] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes[kind]
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self.subgraph.operators.append(operator)

    def convolution(self, layer: ConvLayer, weights: Weights, source: str, size: int) -> str:
        schema = self.schema
        kernel, bias = fold_batch_norm(layer, weights)
        # TFLite keeps kernels as OHWI, depthwise ones as 1HW(channels).
        kernel = kernel.transpose(3, 0, 1, 2)
        options = schema.DepthwiseConv2DOptionsT() if layer.depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = layer.stride
        activation = schema.ActivationFunctionType
        options.fusedActivationFunction = activation.RELU6 if layer.relu6 else activation.NONE
        kind, options_type = schema.BuiltinOperator.CONV_2D, schema.BuiltinOptions.Conv2DOptions
        if layer.depthwise:
            options.depthMultiplier = 1
            kind = schema.BuiltinOperator.DEPTHWISE_CONV_2D
            options_type = schema.BuiltinOptions.DepthwiseConv2DOptions
        inputs = [
            self.index[source],
            self.tensor(f"{layer.name}/kernel", kernel.shape, kernel),
            self.tensor(f"{layer.name}/bias", bias.shape, bias),
        ]
        output = self.tensor(layer.name, (1, size, size, layer.filters))
        self.operator(kind, options_type, options, inputs, output)
        return layer.name

    def add(self, name: str, left: str, right: str) -> str:
        kind, options_type = self.schema.BuiltinOperator.ADD, self.schema.BuiltinOptions.AddOptions
        shape = tuple(self.subgraph.tensors[self.index[right]].shape)
        inputs = [self.index[left], self.index[right]]
        self.operator(kind, options_type, self.schema.AddOptionsT(), inputs, self.tensor(name, shape))
        return name

    def pool(self, name: str, source: str, pooling: Pooling) -> None:
        size, channels = self.subgraph.tensors[self.index[source]].shape[2:]
        if pooling == "avg":
            self.subgraph.outputs = [self.mean(name, source, channels)]
            return
        schema = self.schema
        mean = self.mean("mean_pool", source, channels)
        pool = schema.Pool2DOptionsT()
        pool.padding, pool.strideH, pool.strideW = schema.Padding.VALID, size, size
        pool.filterHeight = pool.filterWidth = size
        kind, options_type = schema.BuiltinOperator.MAX_POOL_2D, schema.BuiltinOptions.Pool2DOptions
        largest = self.tensor("max_pool", (1, 1, 1, channels))
        self.operator(kind, options_type, pool, [self.index[source]], largest)
        factor = self.tensor("max_scale/factor", (1,), np.array([MAX_FACTOR], np.float32))
        flat = self.mean("max_flat", "max_pool", channels)
        scaled = self.tensor("max_scale", (1, channels))
        kind, options_type = schema.BuiltinOperator.MUL, schema.BuiltinOptions.MulOptions
        self.operator(kind, options_type, schema.MulOptionsT(), [flat, factor], scaled)
        joined = schema.ConcatenationOptionsT()
        joined.axis = 1
        kind, options_type = schema.BuiltinOperator.CONCATENATION, schema.BuiltinOptions.ConcatenationOptions
        output = self.tensor(name, (1, 2 * channels))
        self.operator(kind, options_type, joined, [mean, scaled], output)
        self.subgraph.outputs = [output]

    def mean(self, name: str, source: str, channels: int) -> int:
        axes = self.tensor(f"{name}/axes", (2,), np.array([1, 2], np.int32))
        kind, options_type = self.schema.BuiltinOperator.MEAN, self.schema.BuiltinOptions.ReducerOptions
        output = self.tensor(name, (1, channels))
        self.operator(kind, options_type, self.schema.ReducerOptionsT(), [self.index[source], axes], output)
        return output

    def serialize(self) -> bytes:
        return pack_model(self.model)
