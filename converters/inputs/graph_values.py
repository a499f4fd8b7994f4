"""Reads constants out of a graph: sizes, and the sums that normalise pixels. Nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.inputs.graph import Graph, function_behind, function_graph

# What leaves the values as they are.
_SAME_VALUES = (
    *("Identity", "Cast", "ExpandDims", "Squeeze", "Reshape", "PlaceholderWithDefault", "StopGradient"),
    *("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea"),
)
_DECODED = ("DecodeJpeg", "DecodeAndCropJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage")
# Longest chain of nodes that is followed; the known ones have six.
_FAR = 30


@dataclass(frozen=True)
class Factors:
    """Values are ``(x - mean) / std`` of pixels 0..255."""

    mean: float
    std: float


def scalar(graph: Graph, name: str) -> float | None:
    """The number in a constant node; None for anything else."""
    values = constant(graph, name)
    if values is None or values.size != 1 or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        return None
    return float(values.reshape(-1)[0])


def size_constant(graph: Graph, resize: Any) -> tuple[int | None, int | None]:
    """Height and width that a Resize node gives; None where they are computed."""
    values = constant(graph, graph.sources(resize)[1]) if len(resize.input) > 1 else None
    if values is None or values.shape != (2,) or min(values) < 1:
        return None, None
    return int(values[0]), int(values[1])


def factors_back(graph: Graph, name: str) -> Factors | None:
    """What was done to pixels between their decoding and a node; None where that cannot be told."""
    # value = slope * x + intercept, x being what is found further back.
    slope, intercept = 1.0, 0.0
    for _ in range(_FAR):
        node = graph.nodes[name]
        if node.op in _DECODED:
            return Factors(0.0 - intercept / slope, 1 / slope) if slope else None
        step = (1.0, 0.0) if node.op in _SAME_VALUES else _step(graph, node)
        sources = graph.sources(node, control=False)
        if step is None or not sources or sources[0] not in graph.nodes:
            return None
        slope, intercept = slope * step[0], slope * step[1] + intercept
        name = sources[0]
    return None


def first_factor(graph: Graph, name: str) -> float | None:
    """What a node's values are multiplied with before anything else is done; None if they are not."""
    factor = None
    for _ in range(_FAR):
        followers = [n for n in graph.consumers[name] if graph.nodes[n].op not in ("Shape", "Size", "Rank")]
        if len(followers) != 1:
            return factor
        node = graph.nodes[followers[0]]
        function = function_behind(graph, node)
        if function is not None:
            position = graph.sources(node).index(name)
            graph, name = function_graph(graph, function), function.signature.input_arg[position].name
            continue
        if node.op not in _SAME_VALUES:
            step = _step(graph, node)
            if step is None:
                return factor
            factor = (1.0 if factor is None else factor) * step[0]
        name = node.name
    return factor


def _step(graph: Graph, node: Any) -> tuple[float, float] | None:
    """(slope, intercept) of an operation on its first input; None where it is another one."""
    sources = graph.sources(node, control=False)
    value = scalar(graph, sources[1]) if len(sources) == 2 else None
    if value is None:
        return None
    if node.op == "Mul":
        return value, 0.0
    if node.op in ("Div", "RealDiv") and value:
        return 1 / value, 0.0
    if node.op == "Sub":
        return 1.0, -value
    if node.op in ("Add", "AddV2"):
        return 1.0, value
    return None


def constant(graph: Graph, name: str) -> Any:
    """The array in a constant node, or in one that hands it on; None for anything else."""
    node = graph.nodes.get(name)
    for _ in range(_FAR):
        if node is None or node.op not in ("Cast", "Identity"):
            break
        node = graph.nodes.get(graph.sources(node)[0])
    if node is None or node.op != "Const":
        return None
    from tensorflow import make_ndarray

    try:
        return np.asarray(make_ndarray(node.attr["value"].tensor))
    except Exception:  # a hostile constant: of another size than it says, of an unknown type
        return None
