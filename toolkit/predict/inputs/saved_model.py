"""A TensorFlow SavedModel: its graph between the ends of its signature, and its variables, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError
from runtime.file_kind import contents, looks_like, shown
from runtime.spec import SPEC_FILE_NAME, ModelSpec
from toolkit.predict.graph import Graph, TensorName, names
from toolkit.predict.graph_ends import describe_ends
from toolkit.predict.graph_session import GraphRunner
from toolkit.predict.inputs import frozen_graph
from toolkit.predict.options import Hints
from toolkit.predict.predictor import Notify, Predictor, least_scores

GRAPH_FILE = "saved_model.pb"
# Of the graph that serves, tensorflow/python/saved_model/tag_constants.py; and of its usual signature.
_SERVE = "serve"
_USUAL_SIGNATURE = "serving_default"
# Where `toolkit train --saved-model-dir` leaves the spec.
_SPEC = Path("assets.extra") / SPEC_FILE_NAME


def load(folder: Path, hints: Hints, notify: Notify) -> Predictor:
    """Read the graph and its variables. What the model would do by itself when loaded is not run.

    Raises:
        ModelError: damaged, no picture classifier, operations that are not known or not harmless.
        UsageError: hints that do not fit.
        MissingPackageError: TensorFlow is not installed.
    """
    name = shown(folder)
    meta = _read(folder)
    graph = Graph(meta.graph_def)
    entry, exit_ = _signature_ends(meta, name)
    if hints.input_layer is not None:
        entry = graph.find(hints.input_layer, "--input-layer")
    if hints.output_layer is not None:
        exit_ = graph.find(hints.output_layer, "--output-layer")
    if entry.node not in graph.nodes or exit_.node not in graph.nodes:
        raise ModelError(f"{name} is damaged: its signature names tensors that are not there")
    ends = describe_ends(graph, entry, exit_, name)
    restore = _restore(meta, graph, folder)
    if not (folder / _SPEC).is_file():
        return frozen_graph.classifier(graph, ends, folder, hints, notify, restore)
    hints.refuse(frozenset({"input_layer", "output_layer"}), f"this SavedModel, whose {_SPEC} says it")
    spec = ModelSpec.from_json((folder / _SPEC).read_bytes())
    notify(f"model: {name}")
    runner = GraphRunner(graph, ends, spec.preprocessing, name, restore)
    return Predictor(name, spec.preprocessing, spec.labels.names, runner.scores, spec.task, least_scores(spec))


def _read(folder: Path) -> Any:
    """The ``MetaGraphDef`` that serves."""
    import_tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / GRAPH_FILE
    saved = SavedModel()
    with contents(path) as data:
        head = bytes(data[:1024])
        try:
            saved.ParseFromString(data[:])
        except Exception as error:  # DecodeError; RecursionError or MemoryError with hostile ones
            raise ModelError(f"{shown(path)} is damaged or no SavedModel: it looks like {looks_like(head)}") from error
    graphs = [graph for graph in saved.meta_graphs if _SERVE in graph.meta_info_def.tags] or list(saved.meta_graphs)
    if not graphs:
        raise ModelError(f"{shown(path)} is damaged or no SavedModel: it has no graph")
    return graphs[0]


def _signature_ends(meta: Any, name: str) -> tuple[TensorName, TensorName]:
    signatures = {key: found for key, found in meta.signature_def.items() if len(found.inputs) == 1}
    usual = signatures.get(_USUAL_SIGNATURE) or (next(iter(signatures.values())) if len(signatures) == 1 else None)
    if usual is None:
        raise ModelError(
            f"{name}: no signature {_USUAL_SIGNATURE!r} that takes one picture; it has {names(meta.signature_def)}"
        )
    # TF 1 classifiers give the class beside its scores: those are float32 (number 1 of types.proto).
    outputs = [found for found in usual.outputs.values() if found.dtype == 1]
    if len(outputs) != 1:
        raise ModelError(
            f"{name}: its signature gives {len(outputs)} rows of scores, not one ({names(usual.outputs)}); "
            "--output-layer names a tensor"
        )
    (taken,) = usual.inputs.values()
    return TensorName.parse(taken.name), TensorName.parse(outputs[0].name)


def _restore(meta: Any, graph: Graph, folder: Path) -> tuple[str, dict[str, str]] | None:
    """The node that reads the variables and what it is fed; None for a model without any."""
    if not (folder / "variables" / "variables.index").is_file():
        return None
    node = TensorName.parse(meta.saver_def.restore_op_name).node
    filename = TensorName.parse(meta.saver_def.filename_tensor_name)
    if node not in graph.nodes or filename.node not in graph.nodes:
        raise ModelError(f"{shown(folder)} is damaged: nothing in it reads its variables")
    return node, {str(filename): str(folder / "variables" / "variables")}
