"""Models with a loop that never ends, as strangers may send them; each takes SIZE x SIZE pixels, three classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.tensorflow import import_tensorflow
from tests.toolkit.predict_models import SIZE, write_labels

_MARK = "_lower_using_switch_merge"


def frames(path: Path) -> Path:
    """A graph with the loop that TensorFlow 1 wrote: Enter, Merge, Switch, NextIteration, Exit."""
    tf = import_tensorflow()
    tf.compat.v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            image = tf.compat.v1.placeholder(tf.float32, [1, SIZE, SIZE, 3], name="input")
            tf.nn.softmax(_for_ever(tf, tf.reduce_mean(image, [1, 2])), name="final_result")
    finally:
        tf.compat.v1.enable_control_flow_v2()
    return _write(path, graph.as_graph_def())


def one_operation(path: Path) -> Path:
    """A graph with a loop as one operation that depends on no input, which TensorFlow runs beforehand, untold else."""
    tf = import_tensorflow()
    definition = _function_graph(tf, lambda image: tf.reduce_mean(image, [1, 2]) + _for_ever(tf, tf.ones((1, 3))))
    for node in definition.node:
        if "While" in node.op:
            node.op = "StatelessWhile"
            del node.attr[_MARK]
    return _write(path, definition)


def calls_itself(path: Path) -> Path:
    """A graph with a function that calls itself."""
    tf = import_tensorflow()

    @tf.function(input_signature=[tf.TensorSpec([1, 3])])
    def step(values: Any) -> Any:
        return tf.sin(values)

    definition = _function_graph(tf, lambda image: step(step(tf.reduce_mean(image, [1, 2]))))
    (function,) = definition.library.function
    (sine,) = [node for node in function.node_def if node.op == "Sin"]
    sine.op = function.signature.name
    sine.attr.clear()
    for node in function.node_def:
        node.input[:] = [text.replace(f"{sine.name}:y:0", f"{sine.name}:identity:0") for text in node.input]
    return _write(path, definition)


def saved_model(folder: Path, *, while_it_loads: bool = False) -> Path:
    """A SavedModel of TensorFlow 2 with the loop in its signature, or in what runs when it is loaded."""
    tf = import_tensorflow()

    class Resource(tf.saved_model.experimental.TrackableResource):  # type: ignore[misc,name-defined]
        def _create_resource(self) -> Any:
            return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(1, 3), shared_name="endless")

        def _initialize(self) -> None:
            values = tf.ones((1, 3))
            looped = _for_ever(tf, values) if while_it_loads else values
            tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=looped)

    class Model(tf.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            if while_it_loads:
                with tf.init_scope(), tf.Graph().as_default():  # not run here
                    self.resource = Resource()

        @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3])])
        def serve(self, image: Any) -> dict[str, Any]:
            values = tf.reduce_mean(image, [1, 2])
            return {"scores": tf.nn.softmax(values if while_it_loads else _for_ever(tf, values))}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures=model.serve)
    write_labels(folder / "labels.txt")
    return folder


def without_marks(folder: Path) -> Path:
    """Take from a SavedModel what tells TensorFlow to take its loops apart."""
    import_tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / "saved_model.pb"
    saved = SavedModel()
    saved.ParseFromString(path.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for node in function.node_def:
            if "While" in node.op:
                del node.attr[_MARK]
    path.write_bytes(saved.SerializeToString())
    return folder


def _for_ever(tf: Any, values: Any) -> Any:
    return tf.while_loop(lambda now: tf.reduce_sum(tf.abs(now)) >= 0, lambda now: (tf.sin(now),), [values])[0]


def _function_graph(tf: Any, network: Callable[[Any], Any]) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], name="input")])
    def forward(image: Any) -> Any:
        return tf.nn.softmax(network(image), name="final_result")

    return forward.get_concrete_function().graph.as_graph_def()


def _write(path: Path, definition: Any) -> Path:
    path.write_bytes(definition.SerializeToString())
    write_labels(path.with_name("labels.txt"))
    return path
