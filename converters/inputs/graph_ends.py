"""Finds where a frozen graph takes the picture and where it gives the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.inputs.graph import Graph, TensorName, function_behind, function_graph, names
from converters.inputs.graph_values import Factors, factors_back, first_factor, size_constant
from converters.inputs.hints import Hints
from converters.inputs.pixels import RAW_RANGE, UNIT_RANGE, PixelRange, range_before
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError
from runtime.file_kind import shown

# retrain.py's default of --final_tensor_name, and label_image.py's of --output_layer.
_USUAL_OUTPUTS = ("final_result", "InceptionV3/Predictions/Reshape_1")
# Inputs of retrain.py's MobileNet, retrain.py's Inception v3, and TF Hub's retrain.py.
_USUAL_INPUTS = ("input", "Mul", "Placeholder")
_LOGITS = ("MatMul", "BiasAdd", "Add", "AddV2", "Conv2D")
# Longest chain of nodes that is followed.
_FAR = 30
_PROBABILITY = ("Softmax", "Sigmoid")
_PASS_ON = ("Identity", "Reshape", "Squeeze", "StopGradient")
# What makes an answer of the scores: programs of TensorFlow 1 had it in the graph.
_ANSWERS = ("ArgMax", "ArgMin", "Max", "TopK", "TopKV2", "InTopK", "InTopKV2")
# What may stand behind that.
_BEHIND_ANSWERS = (*_PASS_ON, "Cast", "ToInt32", "ExpandDims")
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_RESIZES = ("ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor", "ResizeArea")
_DECODERS = ("DecodeJpeg", "DecodeAndCropJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage")
# Numbers of types.proto: float32 and uint8; what a picture comes in.
_FLOAT, _UINT8 = 1, 4

_RETRAIN_MOBILENET = PixelRange(127.5, 127.5, "as retrain.py's MobileNet graphs take it")
_RETRAIN_INCEPTION = PixelRange(128, 128, "as retrain.py's Inception graphs take it")


@dataclass(frozen=True)
class Ends:
    """Both ends of a classifier in a graph.

    Attributes:
        entry: tensor that takes pictures (1, height, width, 3).
        exit: tensor that gives scores (1, classes).
        size: height and width in pixels; None where any will do or nothing says it.
        uint8: whether pictures go in as bytes.
        range: a guess of how pixels are normalised.
        probability: whether scores are probabilities; None where that cannot be told.
    """

    entry: TensorName
    exit: TensorName
    size: tuple[int | None, int | None]
    uint8: bool
    range: PixelRange
    probability: bool | None


def find_ends(graph: Graph, hints: Hints, name: str) -> Ends:
    """Take the user's word for either end, else look for it.

    Raises:
        UsageError: the user names a node that is not there.
        ModelError: no picture input or no scores, or several of them.
    """
    if hints.output_layer is not None:
        exit_ = graph.find(hints.output_layer, "--output-layer")
    else:
        exit_ = TensorName(_find_output(graph, name))
    if hints.input_layer is not None:
        entry = graph.find(hints.input_layer, "--input-layer")
    else:
        entry = TensorName(_find_input(graph, exit_.node, name))
    return describe_ends(graph, entry, exit_, name)


def describe_ends(graph: Graph, entry: TensorName, exit_: TensorName, name: str) -> Ends:
    """What can be told about two known ends.

    Raises:
        ModelError: the one does not lead to the other, or does not take pictures.
    """
    if graph.nodes[exit_.node].op in _ANSWERS:
        (scores, *_) = graph.sources(graph.nodes[exit_.node])
        raise ModelError(
            f"{name}: {shown(exit_.node)} ({graph.nodes[exit_.node].op}) gives an answer and not the scores behind it; "
            f"--output-layer {shown(scores)} gives these"
        )
    if entry.node not in graph.ancestors([exit_.node]):
        raise ModelError(f"{name}: {entry.node} does not lead to {exit_.node}; --input-layer names another input")
    node = graph.nodes[entry.node]
    kind = _FLOAT
    if node.op in _PLACEHOLDERS:
        kind = node.attr["dtype"].type
        if not _takes_pictures(node):
            raise ModelError(
                f"{name}: {_why_not(node)}; it must take pictures (1, height, width, 3) of float32 or uint8; "
                "--input-layer names another input"
            )
    size = _declared_size(node)
    if node.op not in _PLACEHOLDERS:
        resizes = (graph.nodes[n] for n in graph.ancestors([entry.node]) if graph.nodes[n].op in _RESIZES)
        nearest = next(resizes, None)
        size = size if nearest is None else size_constant(graph, nearest)
    pixels = RAW_RANGE if kind == _UINT8 else _guess_range(graph, entry, exit_)
    return Ends(entry, exit_, size, kind == _UINT8, pixels, _is_probability(graph, exit_.node))


def _find_output(graph: Graph, name: str) -> str:
    for usual in _USUAL_OUTPUTS:
        if usual in graph.nodes:
            return usual
    tips = {_tip(graph, node.name) for node in graph.nodes.values() if node.op in _PROBABILITY} - {None}
    found = sorted(tip for tip in tips if tip is not None)
    if not found:  # a network that ends in logits
        silent = ("Const", "NoOp", "Assert", *_PLACEHOLDERS)
        ends = [n for n, node in graph.nodes.items() if not graph.consumers[n] and node.op not in silent]
        found = list(dict.fromkeys(_before_answer(graph, n) or n for n in ends))
    if len(found) != 1:
        raise ModelError(
            f"{name}: it is not clear which node gives the scores ({names(found)}); name it: --output-layer"
        )
    return found[0]


def _tip(graph: Graph, name: str) -> str | None:
    """Where a value ends that is only handed on, or answers are made of; None where more is computed from it."""
    seen = {name}
    while followers := [n for n in graph.consumers[name] if n not in seen and graph.nodes[n].op not in _ANSWERS]:
        passing = [n for n in followers if graph.nodes[n].op in _PASS_ON]
        if len(passing) != len(followers):
            return None
        name = passing[0]
        seen.add(name)
    return name


def _before_answer(graph: Graph, name: str) -> str | None:
    """The scores that an answer at the end of a graph is made of; None where it ends in something else."""
    for _ in range(_FAR):
        node = graph.nodes.get(name)
        sources = [] if node is None else graph.sources(node, control=False)
        if node is None or not sources or node.op not in (*_ANSWERS, *_BEHIND_ANSWERS):
            return None
        if node.op in _ANSWERS:
            return sources[0]
        name = sources[0]
    return None


def answer_behind(graph: Graph, exit_: TensorName) -> str | None:
    """In words the operation that makes an answer of the scores, where the graph has one."""
    found = next((graph.nodes[n] for n in graph.consumers[exit_.node] if graph.nodes[n].op in _ANSWERS), None)
    return None if found is None else f"{shown(found.name)} ({found.op})"


def _is_probability(graph: Graph, name: str) -> bool | None:
    """Whether what a node gives comes out of a softmax or sigmoid; None where that cannot be told."""
    for _ in range(_FAR):
        node = graph.nodes.get(name)
        if node is None:
            return None
        if node.op in _PROBABILITY:
            return True
        function = function_behind(graph, node)
        if function is not None and len(function.ret) == 1:
            (result,) = function.ret.values()
            graph, name = function_graph(graph, function), result.partition(":")[0]
            continue
        sources = graph.sources(node, control=False)
        if node.op not in _PASS_ON or not sources:
            # These are logits; control flow and the like may be anything.
            return False if node.op in _LOGITS else None
        name = sources[0]
    return None


def _find_input(graph: Graph, output: str, name: str) -> str:
    before = list(graph.ancestors([output]))
    nodes = [graph.nodes[n] for n in before]
    holders = [node for node in nodes if node.op in _PLACEHOLDERS and _takes_pictures(node)]
    found = [node.name for node in holders if node.attr["shape"].shape.dim]
    if not found:
        found = [node.name for node in nodes if node.op in _RESIZES and _is_decoded(graph, node.name)][-1:]
    if not found:
        found = [node.name for node in holders]
    if len(found) != 1:
        usual = [n for n in _USUAL_INPUTS if n in found or (not found and n in before)]
        found = usual[:1] or found
    if len(found) == 1:
        return found[0]
    others = [_why_not(node) for node in nodes if node.op in _PLACEHOLDERS and not _takes_pictures(node)]
    if not found and others:
        raise ModelError(
            f"{name}: nothing in it takes pictures (1, height, width, 3) of float32 or uint8: {'; '.join(others[:3])}; "
            "--input-layer names the place in the graph where they are so"
        )
    raise ModelError(f"{name}: it is not clear which node takes the picture ({names(found)}); name it: --input-layer")


def _takes_pictures(node: Any) -> bool:
    dims = [dim.size for dim in node.attr["shape"].shape.dim]
    if node.attr["dtype"].type not in (_FLOAT, _UINT8):
        return False
    # No dimensions: either not known, or a scalar in graphs of TensorFlow 1.0, which is not known either.
    return not dims or (len(dims) == 4 and dims[3] in (3, -1) and dims[0] in (1, -1) and not _channels_first(dims))


def _channels_first(dims: list[int]) -> bool:
    return len(dims) == 4 and dims[1] in (1, 3) and dims[3] != 3


def _why_not(node: Any) -> str:
    """What an input takes that takes no pictures, and what that means, in words."""
    dims = [dim.size for dim in node.attr["shape"].shape.dim]
    kind = import_tensorflow().dtypes.as_dtype(node.attr["dtype"].type or _FLOAT).name
    said = f"{shown(node.name)} takes {kind} ({', '.join(str(d) if d >= 0 else 'any' for d in dims)})"
    if _channels_first(dims):
        return f"{said}, channels first (NCHW): freeze the model with channels last"
    if len(dims) == 4 and dims[3] == 1:
        return f"{said}, grey pictures: train the model with three channels"
    if len(dims) == 4 and dims[3] not in (3, -1):
        return f"{said}, pictures of {dims[3]} channels"
    if len(dims) == 4 and dims[0] not in (1, -1):
        return f"{said}, {dims[0]} pictures at a time: freeze the model for one, or any number"
    return said


def _declared_size(node: Any) -> tuple[int | None, int | None]:
    sides = node.attr["shape"].shape.dim[1:3] if node.op in _PLACEHOLDERS else []
    height, width = (side.size if side.size > 0 else None for side in sides) if len(sides) == 2 else (None, None)
    return height, width


def _is_decoded(graph: Graph, name: str) -> bool:
    return any(graph.nodes[n].op in _DECODERS for n in graph.ancestors([name]))


def _guess_range(graph: Graph, entry: TensorName, exit_: TensorName) -> PixelRange:
    """From what the graph does to the input, or did before it; else from the names that programs gave it."""
    node = graph.nodes[entry.node]
    if node.op not in _PLACEHOLDERS and _is_decoded(graph, entry.node):
        factors: Factors | None = factors_back(graph, entry.node)
        if factors is not None:
            return PixelRange(factors.mean, factors.std, "as the graph does it after decoding")
    factor = first_factor(graph, entry.node)
    if factor is not None:
        return range_before(factor)
    if entry.node == "Mul":
        return _RETRAIN_INCEPTION
    if (entry.node, exit_.node) == ("input", "final_result"):
        return _RETRAIN_MOBILENET
    return UNIT_RANGE
