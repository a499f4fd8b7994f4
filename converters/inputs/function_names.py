"""Makes the functions of a graph known to TensorFlow, under names that no other graph has."""

from __future__ import annotations

import hashlib
from typing import Any

from converters.inputs.graph import all_nodes

# Digits of a digest in the names.
_DIGITS = 12


def make_known(definition: Any) -> None:
    """Rename and register the functions of a graph, so that a function that takes it in can run.

    ``import_graph_def`` brings them into the new graph alone; a loop in it looks for its body among all functions of
    the process, where a name stands for one function only.

    Args:
        definition: a ``GraphDef``; it is changed.
    """
    from tensorflow.python.eager import context

    library = definition.library
    if not library.function:
        return
    mark = hashlib.sha256(library.SerializeToString(deterministic=True)).hexdigest()[:_DIGITS]
    names = {function.signature.name: f"{function.signature.name}_{mark}" for function in library.function}
    for node in all_nodes(definition):
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            # To write into a field of another kind would make the value of that kind.
            for called in [value.func] if value.HasField("func") else value.list.func:
                called.name = names.get(called.name, called.name)
    for function in library.function:
        function.signature.name = names[function.signature.name]
    for gradient in library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)
    for function in library.function:
        context.context().add_function_def(function)
