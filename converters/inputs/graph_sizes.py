"""Refuses graphs that ask for more memory than any picture classifier needs, before anything of them is run."""

from __future__ import annotations

import math
from typing import Any

from runtime.errors import ModelError
from runtime.file_kind import shown

# Bytes of one tensor. The largest weights of the known classifiers, VGG's, take 0.4 GB, activations far less.
_MOST = 1 << 30


def check_sizes(graph: Any, name: str) -> None:
    """Look at the shapes that TensorFlow has worked out without running anything; unknown dimensions count as 1.

    Args:
        graph: a ``tf.Graph``.
        name: of the model, for the error.

    Raises:
        ModelError: a tensor is too large.
    """
    for operation in graph.get_operations():
        for output in operation.outputs:
            if output.shape.rank is None:
                continue
            sides = [side or 1 for side in output.shape.as_list()]
            size = math.prod(sides) * max(1, output.dtype.size)
            if size > _MOST:
                raise ModelError(
                    f"{name}: its operation {shown(operation.type)} {shown(operation.name)!r} makes a tensor of "
                    f"{' x '.join(map(str, sides))} ({size / 1e9:,.0f} GB), which no picture classifier does; "
                    "nothing of it was run"
                )


def check_function_sizes(definition: Any, name: str) -> None:
    """The same for the functions of a ``GraphDef``.

    Raises:
        ModelError: a tensor is too large.
    """
    import tensorflow as tf
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    with tf.Graph().as_default():
        tf.graph_util.import_graph_def(type(definition)(library=definition.library), name="")
        for function in definition.library.function:
            try:
                body = function_def_to_graph(function)
            except Exception:  # noqa: S112 - whatever is wrong with it shows again when it is loaded
                continue
            check_sizes(body, name)
