"""A model as a frozen GraphDef (``.pb``), as ``retrain.py`` wrote it and ``label_image.py`` reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from converters.atomic import write_bytes
from converters.formats.beside import write_beside
from converters.formats.constant_folding import fold_constants
from converters.formats.tracing import TensorFlowSource, traced_model
from converters.inputs.graph_session import what_failed
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, ModelError, UsageError
from runtime.quiet import quiet_stderr

#: Of the Placeholder, as in the frozen MobileNet graphs that retrain.py started from.
INPUT_NAME = "input"
#: retrain.py's default for ``--final_tensor_name``.
OUTPUT_NAME = "final_result"
# What TensorFlow takes for a node's name (NodeDef in tensorflow/core/framework/node_def.proto).
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
# Newer names of the same computation -> those that readers of TensorFlow 1.x know too.
_OLDER_OPS = {"AddV2": "Add"}


def check_output_name(name: str) -> None:
    """Make sure that a node can have this name.

    Raises:
        UsageError: it cannot.
    """
    if not _NODE_NAME.fullmatch(name) or name == INPUT_NAME:
        raise UsageError(
            f"--final-tensor-name {name!r} cannot name a node of a graph: letters, digits and ._/->, "
            f"not {INPUT_NAME!r}; {OUTPUT_NAME!r} is usual"
        )


def frozen_graph(model: Any, output_name: str = OUTPUT_NAME) -> bytes:
    """The model with its weights as constants, without variables, functions, control flow or training nodes.

    The input is ``input:0``, float32 (any batch, height, width, 3), RGB, normalised as ``spec.json`` says:
    (x - 127.5) / 127.5 for MobileNet, as ``retrain.py``'s graphs had it. The result is ``<output_name>:0``,
    float32 (batch, outputs). A batch of any size goes in; ``retrain.py``'s took one picture.

    Args:
        model: a ``keras.Model`` with one image input of fixed height and width.
        output_name: of the result's node.

    Returns:
        A serialised ``GraphDef``.

    Raises:
        UsageError: no node can have that name.
    """
    check_output_name(output_name)
    return _frozen(traced_model(model, input_name=INPUT_NAME, output_name=output_name), output_name)


def write(source: TensorFlowSource, folder: Path, stem: str) -> list[Path]:
    """Write ``STEM.pb`` from ``input:0`` to ``final_result:0``, with labels and specification beside it.

    Args:
        source: what is converted.
        folder: for the files.
        stem: of their names, which the file system takes.

    Returns:
        The files.

    Raises:
        ModelError: the source is not one of TensorFlow's, or its graph cannot be frozen.
        DataError: the files cannot be written.
    """
    function = source.traced(INPUT_NAME, OUTPUT_NAME)
    try:
        content = _frozen(function, OUTPUT_NAME)
    except EdgeExportError:
        raise
    except Exception as error:  # whatever comes up in TensorFlow with a graph of somebody else's
        raise ModelError(f"TensorFlow cannot freeze the model: {what_failed(error)}") from error
    path = folder / f"{stem}.pb"
    write_bytes(path, content)
    return [path, *write_beside(source.spec, folder, stem)]


def _frozen(function: Any, output_name: str) -> bytes:
    """Of a ``tf.function`` with one signature."""
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with quiet_stderr():
        graph = convert_variables_to_constants_v2(function.get_concrete_function()).graph.as_graph_def()
        graph = fold_constants(graph, output_name)
    _check_stateless(graph)
    return bytes(_for_old_readers(tf, graph).SerializeToString(deterministic=True))


def _check_stateless(graph: Any) -> None:
    """Refuse tables, variables and queues: a graph on its own cannot hold what is in them.

    Freezing leaves a table's place open, as a second input.
    """
    from tensorflow.python.framework import op_def_registry

    for node in graph.node:
        definition = op_def_registry.get(node.op)
        kept = definition is not None and any(attribute.name == "shared_name" for attribute in definition.attr)
        if kept or (node.op == "Placeholder" and node.name != INPUT_NAME):
            raise ModelError(f"the model keeps values in {node.op} {node.name!r}, which a frozen graph cannot hold")


def _for_old_readers(tf: Any, graph: Any) -> Any:
    """The same graph without what an older TensorFlow stumbles over: attributes and names that it does not know."""
    from tensorflow.python.framework.meta_graph import strip_graph_default_valued_attrs

    meta = tf.compat.v1.MetaGraphDef(graph_def=graph)
    strip_graph_default_valued_attrs(meta)
    for node in meta.graph_def.node:
        node.op = _OLDER_OPS.get(node.op, node.op)
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
    return meta.graph_def
