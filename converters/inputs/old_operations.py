"""Rewrites what graphs of TensorFlow 1 hold and later programs do not take."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.inputs.graph import Graph
from converters.inputs.graph_values import constant
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError
from runtime.file_kind import shown

# Number of types.proto.
_FLOAT = 1


def modernise(definition: Any, entry: str) -> None:
    """Put what computes the same in the place of what is no longer taken.

    ``PlaceholderWithDefault``, which nobody feeds, becomes its default; ``CheckNumerics`` hands on its input;
    ``BatchNormWithGlobalNormalization`` of the Inception of 2015 becomes ``FusedBatchNormV3``.

    Args:
        definition: a ``GraphDef``; it is changed.
        entry: node that takes pictures, which stays as it is.
    """
    graph = Graph(definition)
    for node in list(definition.node):
        if node.name == entry:
            continue
        if node.op == "PlaceholderWithDefault":
            pass_on(node, node.attr["dtype"].type)
        elif node.op == "CheckNumerics":
            pass_on(node, node.attr["T"].type)
        elif node.op == "BatchNormWithGlobalNormalization":
            _fuse_batch_norm(graph, node)


def pass_on(node: Any, dtype: int) -> None:
    """Make a node hand on its first input.

    Args:
        node: of a ``GraphDef``.
        dtype: of the value, a number of types.proto.
    """
    controls = [text for text in node.input if text.startswith("^")]
    node.op = "Identity"
    node.input[:] = [node.input[0], *controls]
    node.attr.clear()
    node.attr["T"].type = dtype


def _fuse_batch_norm(graph: Graph, node: Any) -> None:
    source, mean, variance, beta, gamma, *controls = node.input
    if not node.attr["scale_after_normalization"].b:
        gamma = _ones_like(graph, beta, f"{node.name}/ones")
    node.input[:] = [source, gamma, beta, mean, variance, *controls]
    epsilon = node.attr["variance_epsilon"].f
    node.op = "FusedBatchNormV3"
    node.attr.clear()
    node.attr["T"].type = node.attr["U"].type = _FLOAT
    node.attr["epsilon"].f = epsilon
    node.attr["is_training"].b = False
    node.attr["data_format"].s = b"NHWC"


def _ones_like(graph: Graph, source: str, name: str) -> str:
    """A new constant of ones, as many as there are channels."""
    values = constant(graph, source.partition(":")[0])
    if values is None:
        raise ModelError(f"its batch normalisation {shown(name.rpartition('/')[0])} has no constant offset")
    tf = import_tensorflow()
    added = graph.definition.node.add(name=name, op="Const")
    added.attr["dtype"].type = _FLOAT
    added.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.ones_like(values)))
    return name
