"""The end of a ``.tflite`` classifier: its last feature map, the pools behind it, the dense layers up to the scores.

A network that ends in global pools carries the place of what it saw as far as its last map. Here a file gets that map
as a second output, and the layers behind the pools are read as numpy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from runtime.op_names import operator_name
from toolkit.head import Layer

Floats = NDArray[np.float32]

# Between the pool and the scores these change no order of values and mix no channels.
_PASS_ON = frozenset({"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"})
_POOLS: dict[str, Literal["mean", "max"]] = {"MEAN": "mean", "AVERAGE_POOL_2D": "mean", "MAX_POOL_2D": "max"}
_SCORES = frozenset({"SOFTMAX", "LOGISTIC"})
# TensorType and ActivationFunctionType of the TFLite schema.
_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}
_NO_ACTIVATION, _RELU = 0, 1


@dataclass(frozen=True)
class Pool:
    """One value of each channel of the last map: its mean or its largest, times a factor."""

    kind: Literal["mean", "max"]
    factor: float = 1.0


@dataclass(frozen=True)
class ModelTail:
    """A file that shows its last map.

    Attributes:
        model: bytes of the ``.tflite`` file whose second output is the last map, (1, rows, columns, channels).
        scale: of the map's numbers, real = (stored - zero_point) * scale.
        zero_point: of the map's numbers.
        layers: dense layers between the pools and the scores, ReLU after all but the last; none in a backbone.
        pools: whose results, one behind the other, are the features.
    """

    model: bytes
    scale: float
    zero_point: int
    layers: tuple[Layer, ...]
    pools: tuple[Pool, ...] = (Pool("mean"),)


def find_tail(model: bytes) -> ModelTail | None:
    """Add the last map to a model's outputs.

    Args:
        model: a ``.tflite`` file with one output.

    Returns:
        None where the model does not end in map, global pools, dense layers.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    content = unpack_model(model)
    graph = content.subgraphs[0]
    walk = _Walk(content)
    layers: list[Layer] = []
    tensor = int(graph.outputs[0])
    # Each step removes a producer, so a ring of operators ends too.
    while (operator := walk.producers.pop(tensor, None)) is not None:
        if operator.inputs is None or not len(operator.inputs):
            return None
        name, source = walk.name(operator), int(operator.inputs[0])
        if name in ("FULLY_CONNECTED", "CONV_2D"):
            layer = walk.dense_layer(operator, name, last=not layers)
            if layer is None:
                return None
            layers.insert(0, layer)
        elif (ends := walk.pools(operator, name)) is not None:
            source, pools = ends
            graph.outputs = [int(graph.outputs[0]), source]
            content.signatureDefs = None  # they name one output
            return ModelTail(pack_model(content), *walk.quantization(source), tuple(layers), pools)
        elif name not in _PASS_ON and not (name in _SCORES and not layers):
            return None
        tensor = source
    return None


class _Walk:
    """What is asked of a graph on the way back from its output."""

    def __init__(self, content: Any) -> None:
        self.graph = content.subgraphs[0]
        self.buffers = content.buffers
        self.codes = content.operatorCodes
        self.producers = {int(out): op for op in self.graph.operators for out in _list(op.outputs)}

    def name(self, operator: Any) -> str:
        code = self.codes[operator.opcodeIndex]
        return operator_name(max(code.builtinCode, code.deprecatedBuiltinCode))

    def shape(self, tensor: int) -> tuple[int, ...]:
        shape = self.graph.tensors[tensor].shape
        return tuple(int(n) for n in _list(shape))

    def quantization(self, tensor: int) -> tuple[float, int]:
        """Scale and zero point of a map; 1 and 0 where its numbers are real ones."""
        found = self.graph.tensors[tensor].quantization
        if found is None or len(_list(found.scale)) != 1 or len(_list(found.zeroPoint)) != 1:
            return 1.0, 0
        return float(found.scale[0]), int(found.zeroPoint[0])

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """The real values of a weight; None where it is computed or stored in a way not known here."""
        producer = self.producers.pop(tensor, None)
        if producer is not None:  # half-precision weights go through DEQUANTIZE
            return self.constant(int(producer.inputs[0])) if self.name(producer) == "DEQUANTIZE" else None
        info = self.graph.tensors[tensor]
        data = self.buffers[info.buffer].data
        if data is None or info.type not in _DTYPES:
            return None
        shape = self.shape(tensor)
        stored = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[info.type])
        if stored.size != int(np.prod(shape)):
            return None
        values = stored.reshape(shape)
        quantization = info.quantization
        if quantization is None or not len(_list(quantization.scale)) or not len(_list(quantization.zeroPoint)):
            return values if info.type == 2 else values.astype(np.float32)
        along = [1] * values.ndim
        along[quantization.quantizedDimension if len(quantization.scale) > 1 else 0] = -1
        scale = np.asarray(quantization.scale, np.float32).reshape(along)
        zero_point = np.asarray(quantization.zeroPoint, np.float32).reshape(along)
        result: NDArray[Any] = (values.astype(np.float32) - zero_point) * scale
        return result

    def dense_layer(self, operator: Any, name: str, *, last: bool) -> Layer | None:
        """A FULLY_CONNECTED, or a convolution of a map of one place, as a dense layer."""
        activation = getattr(operator.builtinOptions, "fusedActivationFunction", _NO_ACTIVATION)
        if activation != (_NO_ACTIVATION if last else _RELU):
            return None
        if name == "CONV_2D" and self.shape(int(operator.inputs[0]))[1:3] != (1, 1):
            return None
        kernel = self.constant(int(operator.inputs[1]))
        if kernel is None or kernel.ndim < 2 or (name == "CONV_2D" and kernel.shape[1:3] != (1, 1)):
            return None
        kernel = kernel.reshape(len(kernel), -1).T
        bias: NDArray[Any] | None = np.zeros(kernel.shape[1], np.float32)
        if len(operator.inputs) > 2 and int(operator.inputs[2]) >= 0:
            bias = self.constant(int(operator.inputs[2]))
        return None if bias is None else Layer(kernel.astype(np.float32), bias.astype(np.float32).reshape(-1))

    def pools(self, operator: Any, name: str) -> tuple[int, tuple[Pool, ...]] | None:
        """The map behind a global pool, or behind several whose results are joined; None where this is neither."""
        if name != "CONCATENATION":
            found = self.pool(operator, name)
            return None if found is None else (found[0], (found[1],))
        branches = [self.branch(int(tensor)) for tensor in operator.inputs]
        known = [branch for branch in branches if branch is not None]
        if len(known) < len(branches) or len({source for source, _ in known}) != 1:
            return None
        return known[0][0], tuple(pool for _, pool in known)

    def branch(self, tensor: int) -> tuple[int, Pool] | None:
        """A pool that may be multiplied by a constant before it is joined."""
        factor = 1.0
        while (operator := self.producers.pop(tensor, None)) is not None:
            name = self.name(operator)
            if name == "MUL":
                constant = self.constant(int(operator.inputs[1]))
                if constant is None or constant.size != 1:
                    return None
                factor *= float(constant.reshape(-1)[0])
            elif name not in _PASS_ON and not (name == "MEAN" and self.shape(int(operator.inputs[0]))[1:3] == (1, 1)):
                found = self.pool(operator, name)
                return None if found is None else (found[0], Pool(found[1].kind, factor))
            tensor = int(operator.inputs[0])
        return None

    def pool(self, operator: Any, name: str) -> tuple[int, Pool] | None:
        """The map of a global pool, and its kind."""
        if name not in _POOLS or not self.is_global_pool(operator, name):
            return None
        return int(operator.inputs[0]), Pool(_POOLS[name])

    def is_global_pool(self, operator: Any, name: str) -> bool:
        """Whether all places of a map, and nothing but them, become one."""
        source = self.shape(int(operator.inputs[0]))
        if len(source) != 4:
            return False
        if name == "MEAN":
            axes = self.constant(int(operator.inputs[1]))
            return axes is not None and {int(a) % 4 for a in axes.reshape(-1)} == {1, 2}
        options, result = operator.builtinOptions, self.shape(int(operator.outputs[0]))
        return (options.filterHeight, options.filterWidth) == source[1:3] and result[1:3] == (1, 1)


def _list(values: Any) -> Any:
    """A vector of the file; an empty one where it is absent."""
    return () if values is None else values
