"""Changes to an ONNX graph: a batch of any size, and names and order that are the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Name of the batch axis in inputs and outputs.
BATCH = "batch"


def free_batch(graph: Any) -> None:
    """Make the batch of one, which a ``.tflite`` file has, one of any size.

    Shapes written into the graph are taken out, for whoever wants them to infer them anew. A reshape to a fixed shape
    whose first number is 1 takes the first number of what comes in: 0 says so in ONNX.

    Args:
        graph: a ``GraphProto`` whose inputs and outputs have the batch as their first axis.
    """
    from onnx import numpy_helper

    for value in [*graph.input, *graph.output]:
        dimension = value.type.tensor_type.shape.dim[0]
        dimension.Clear()
        dimension.dim_param = BATCH
    del graph.value_info[:]
    constants = {constant.name: constant for constant in graph.initializer}
    for node in graph.node:
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        shape = numpy_helper.to_array(constants[node.input[1]])
        if len(shape) and shape[0] == 1:
            # A shape of its own: the constant may serve other nodes too.
            name = f"{node.input[1]}_any_{BATCH}_{node.output[0]}"
            graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))
            node.input[1] = name


def put_in_order(graph: Any) -> None:
    """Order and name nodes, constants and what flows between them by the way from the outputs back to the inputs.

    tf2onnx numbers names and keeps sets, so that two runs differ. What no output needs is taken out.

    Args:
        graph: a ``GraphProto`` without graphs inside its nodes, or one that is left as it is.
    """
    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return
    makers = {name: node for node in graph.node for name in node.output if name}
    nodes = _nodes_in_order(makers, [value.name for value in graph.output])
    fixed = {value.name for value in [*graph.input, *graph.output]}
    constants = {constant.name: constant for constant in graph.initializer}
    names: dict[str, str] = {name: name for name in fixed}
    kept = []
    for number, node in enumerate(nodes):
        title = f"{node.op_type}_{number}"
        for place, name in enumerate(node.input):
            if name in constants and name not in names:
                names[name] = f"{title}_constant_{place}"
                kept.append(constants[name])
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{title}_result_{place}" if name else "")
        node.name, node.doc_string = title, ""
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: str(attribute.name))
        del node.attribute[:]
        node.attribute.extend(attributes)
    for constant in kept:
        constant.name = names[constant.name]
    _replace(graph.initializer, kept)
    _replace(graph.node, nodes)


def _nodes_in_order(makers: dict[str, Any], wanted: list[str]) -> list[Any]:
    """The nodes that make what is wanted, each behind those whose results it takes."""
    order: list[Any] = []
    done: set[int] = set()
    waiting = [(makers[name], False) for name in reversed(wanted) if name in makers]
    while waiting:
        node, inputs_done = waiting.pop()
        if id(node) in done:
            continue
        if inputs_done:
            done.add(id(node))
            order.append(node)
            continue
        waiting.append((node, True))
        waiting += [(makers[name], False) for name in reversed(node.input) if name in makers]
    return order


def _replace(field: Any, items: list[Any]) -> None:
    """Put messages, which are those of the field itself, into it anew."""
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
