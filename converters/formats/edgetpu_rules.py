"""Which operators of a model the Edge TPU's compiler would put on the Edge TPU, by its published rules.

Rules: "Model requirements" and "Supported operations" of https://coral.ai/docs/edgetpu/models-intro/. They are what the
compiler says about itself; it also leaves out what does not fit into the chip, which only it can tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from converters.formats.micro_operators import code_name, type_name
from runtime.op_versions import first_release, release_key

#: What the compiler writes of an operator that it takes.
MAPPED = "Mapped to Edge TPU"
#: What it writes of operators behind one that it does not take: it makes one piece of the model, from the front.
BEHIND = "More than one subgraph is not supported"

# Compiler 16.0.384591198, its last release, is of the summer of TensorFlow 2.6.
_NEWEST_RELEASE = "2.6"
_MOST_SOFTMAX = 16_000


@dataclass(frozen=True)
class Operators:
    """Operators of one name with one fate.

    Attributes:
        name: such as ``CONV_2D``.
        count: how many.
        status: ``MAPPED``, or why not.
    """

    name: str
    count: int
    status: str

    @property
    def mapped(self) -> bool:
        """Whether they run on the Edge TPU."""
        return self.status == MAPPED


@dataclass(frozen=True)
class _Use:
    """An operator with its tensors."""

    name: str
    version: int
    options: Any
    inputs: list[Any]
    outputs: list[Any]
    values: list[list[int]] = field(default_factory=list)

    def option(self, name: str, default: int = 0) -> int:
        return int(getattr(self.options, name, default))


def predict(model: Any) -> list[Operators]:
    """What the compiler would say of each operator, as it lists them.

    Args:
        model: a ``ModelT``; its first subgraph counts.
    """
    graph = model.subgraphs[0]
    # Of each tensor: 0 nothing on the Edge TPU before it, 1 it comes from there, 2 it comes from behind there.
    state = {int(index): 0 for index in graph.inputs}
    found: Counter[tuple[str, str]] = Counter()
    for operator in graph.operators:
        use = _use(model, graph, operator)
        before = max((state.get(int(index), 0) for index in operator.inputs), default=0)
        reason = _reason(use)
        if reason is None and before < 2:
            after, status = 1, MAPPED
        else:
            after, status = (2 if before else 0), reason or BEHIND
        found[use.name, status] += 1
        state.update({int(index): after for index in operator.outputs})
    return [Operators(name, count, status) for (name, status), count in sorted(found.items())]


def _use(model: Any, graph: Any, operator: Any) -> _Use:
    code = model.operatorCodes[operator.opcodeIndex]
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    return _Use(
        code_name(code),
        int(code.version),
        operator.builtinOptions,
        inputs,
        [graph.tensors[index] for index in operator.outputs],
        [_constant(model, tensor) for tensor in inputs],
    )


def _constant(model: Any, tensor: Any) -> list[int]:
    """Values of a constant of 32-bit integers, such as axes and paddings; none of any other tensor."""
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or type_name(tensor) != "int32":
        return []
    return [int(value) for value in data.view("<i4")]


def _reason(use: _Use) -> str | None:
    """Why an operator cannot be on the Edge TPU; None where it can."""
    if use.name not in _LIMITS:
        return "Operation not supported"
    release = first_release(use.name, use.version)
    if release is None or release_key(release) > release_key(_NEWEST_RELEASE):
        return "Operation version not supported"
    for tensor in (*use.inputs, *use.outputs):
        if reason := _tensor_reason(use, tensor):
            return reason
    return _LIMITS[use.name](use)


def _tensor_reason(use: _Use, tensor: Any) -> str | None:
    signature = [] if tensor.shapeSignature is None else tensor.shapeSignature
    if min(map(int, signature), default=0) < 0:
        return "Tensor has a size that is only known when the model runs"
    kind = type_name(tensor)
    if kind == "int32" and any(tensor is source for source in use.inputs):  # biases, axes, shapes
        return None
    if kind not in ("int8", "uint8"):
        return f"Operation is working on an unsupported data type ({kind})"
    if tensor.quantization is None or tensor.quantization.scale is None:
        return "Tensor is not quantised"
    if math.prod(_shape(tensor)[:-3]) > 1 and not any(tensor is source for source in use.inputs[1:]):
        return "Tensor has more than three dimensions larger than 1"
    return None


def _shape(tensor: Any) -> list[int]:
    return [] if tensor.shape is None else [int(size) for size in tensor.shape]


def _axes(use: _Use) -> list[int]:
    rank = len(_shape(use.inputs[0]))
    return [axis % rank for axis in use.values[1]] if rank and len(use.values) > 1 else []


def _anything(_use: _Use) -> str | None:
    return None


def _no_activation(use: _Use) -> str | None:
    return "A fused activation function is not supported" if use.option("fusedActivationFunction") else None


def _one_dilation(use: _Use) -> str | None:
    same = use.option("dilationWFactor", 1) == use.option("dilationHFactor", 1)
    return None if same else "Dilations of x and y differ"


def _dense(use: _Use) -> str | None:
    if use.option("weightsFormat"):
        return "Only the default format of weights is supported"
    if math.prod(_shape(use.outputs[0])[:-1]) > 1:
        return "The output must be one-dimensional"
    if len(use.inputs[1].quantization.scale) > 1:
        return "Weights with a scale for each output are not supported"
    return None


def _softmax(use: _Use) -> str | None:
    shape = _shape(use.inputs[0])
    if math.prod(shape[:-1]) > 1 or shape[-1] > _MOST_SOFTMAX:
        return f"Only one dimension of at most {_MOST_SOFTMAX} elements is supported"
    return None


def _mean(use: _Use) -> str | None:
    axes, shape = _axes(use), _shape(use.inputs[0])
    if len(shape) - 1 in axes and shape[-1] % 4:
        return "A reduction along z needs a multiple of 4"
    return _not_the_batch(use)


def _not_the_batch(use: _Use) -> str | None:
    return "The batch dimension is not supported" if 0 in _axes(use) and len(_shape(use.inputs[0])) > 3 else None


def _pad(use: _Use) -> str | None:
    batch = use.values[1][:2] if len(_shape(use.inputs[0])) > 3 else []
    return "The batch dimension is not supported" if any(batch) else None


def _strided_slice(use: _Use) -> str | None:
    plain = set(use.values[3]) <= {1} and not use.option("ellipsisMask") and not use.option("newAxisMask")
    return None if plain else "Only strides of 1, without ellipsis and new axes, are supported"


def _prelu(use: _Use) -> str | None:
    return "Alpha must be one-dimensional" if math.prod(_shape(use.inputs[1])[:-1]) > 1 else None


_LIMITS: dict[str, Callable[[_Use], str | None]] = {
    "ADD": _anything,
    "AVERAGE_POOL_2D": _no_activation,
    "CONCATENATION": _no_activation,
    "CONV_2D": _one_dilation,
    "DEPTHWISE_CONV_2D": _one_dilation,
    "EXPAND_DIMS": _anything,
    "FULLY_CONNECTED": _dense,
    "L2_NORMALIZATION": _anything,
    "LOGISTIC": _anything,
    "MAXIMUM": _anything,
    "MAX_POOL_2D": _no_activation,
    "MEAN": _mean,
    "MINIMUM": _anything,
    "MUL": _anything,
    "PACK": _anything,
    "PAD": _pad,
    "PRELU": _prelu,
    "QUANTIZE": _anything,
    "REDUCE_MAX": _not_the_batch,
    "REDUCE_MIN": _not_the_batch,
    "RELU": _anything,
    "RELU6": _anything,
    "RELU_N1_TO_1": _anything,
    "RESHAPE": _anything,
    "RESIZE_BILINEAR": _anything,
    "RESIZE_NEAREST_NEIGHBOR": _anything,
    "RSQRT": _anything,
    "SLICE": _anything,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _anything,
    "SPLIT": _anything,
    "SQUARED_DIFFERENCE": _anything,
    "SQUEEZE": _anything,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _anything,
    "SUM": _not_the_batch,
    "TANH": _anything,
    "TRANSPOSE": _anything,
    "TRANSPOSE_CONV": _one_dilation,
}
