"""Computes beforehand what in a GraphDef depends on no input."""

from __future__ import annotations

from typing import Any

from converters.tensorflow import import_tensorflow

# Loops and branches of TensorFlow 1: what goes through them has a time, which no constant has.
_FLOW = frozenset(("Enter", "Exit", "Merge", "Switch", "NextIteration", "LoopCond"))


def fold_constants(graph: Any, output_name: str) -> Any:
    """The same graph with a constant in the place of each node that is made of constants alone.

    Batch normalisation becomes one multiplication and one addition, and small readers, OpenCV's for one, meet
    nothing that they do not know.

    Args:
        graph: a ``GraphDef`` without variables and functions; loops and branches are TensorFlow 1's.
        output_name: of the node that is wanted; what it does not need is left out.

    Returns:
        A new ``GraphDef``.
    """
    tf = import_tensorflow()
    graph = tf.compat.v1.graph_util.extract_sub_graph(graph, [output_name])
    nodes = {node.name: node for node in graph.node}
    constant = _constant_nodes(graph)
    wanted = {source for node in graph.node if node.name not in constant for source in _sources(node)}
    computed = sorted(name for name in wanted & constant if nodes[name].op != "Const")
    with tf.Graph().as_default() as scratch:
        tf.import_graph_def(graph, name="")
        with tf.compat.v1.Session(graph=scratch) as session:
            values = session.run([f"{name}:0" for name in computed]) if computed else []
    folded = tf.compat.v1.GraphDef()
    folded.CopyFrom(graph)
    replacement = dict(zip(computed, values, strict=True))
    for node in folded.node:
        if node.name in replacement:
            become_constant(tf, node, replacement[node.name])
    return tf.compat.v1.graph_util.extract_sub_graph(folded, [output_name])


def _constant_nodes(graph: Any) -> set[str]:
    """Names of all nodes that depend on constants alone."""
    constant = {node.name for node in graph.node if node.op == "Const"}
    left = [node for node in graph.node if node.input and node.op not in _FLOW]
    left = [node for node in left if not any(name.startswith("^") for name in node.input)]
    while True:
        more = {node.name for node in left if constant.issuperset(_sources(node))}
        if not more:
            return constant
        constant |= more
        left = [node for node in left if node.name not in more]


def _sources(node: Any) -> list[str]:
    """Names of the nodes whose outputs go into this one."""
    return [name.removeprefix("^").partition(":")[0] for name in node.input]


def become_constant(tf: Any, node: Any, value: Any) -> None:
    """Make a node a constant of this value, a numpy array."""
    node.op = "Const"
    del node.input[:]
    node.attr.clear()
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
