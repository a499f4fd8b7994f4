"""A TensorFlow SavedModel: its graph between the ends of its signature, and its variables, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.inputs import frozen_graph
from converters.inputs.graph import Graph, TensorName, names
from converters.inputs.graph_ends import describe_ends
from converters.inputs.graph_session import GraphRunner
from converters.inputs.hints import Hints
from converters.inputs.pixels import choose_preprocessing
from converters.inputs.predictor import Network, Notify, Predictor
from converters.inputs.saved_functions import FunctionRunner, Signature
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError, counted
from runtime.file_kind import contents, looks_like, shown
from runtime.spec import SPEC_FILE_NAME, ModelSpec, Preprocessing

GRAPH_FILE = "saved_model.pb"
# Of the graph that serves, tensorflow/python/saved_model/tag_constants.py; and of its usual signature.
_SERVE = "serve"
_USUAL_SIGNATURE = "serving_default"
# Where `toolkit train --saved-model-dir` leaves the spec.
_SPEC = Path("assets.extra") / SPEC_FILE_NAME
_NOT_ENDS = frozenset({"labels", "mean", "std", "height", "width", "resample"})


def load(folder: Path, hints: Hints, notify: Notify) -> Predictor:
    """Read the graph and its variables, after looking through what would run.

    Raises:
        ModelError: damaged, no picture classifier, operations that are not known or not harmless.
        UsageError: hints that do not fit.
        MissingPackageError: TensorFlow is not installed.
    """
    name = shown(folder)
    meta = _read(folder)
    graph = Graph(meta.graph_def)
    modern = meta.HasField("object_graph_def")
    if modern:
        hints.refuse(_NOT_ENDS, "a SavedModel of TensorFlow 2, whose signature says it")
    entry, exit_, signature = _signature_ends(meta, graph, hints, name)
    ends = describe_ends(graph, entry, exit_, name)
    spec = None
    if (folder / _SPEC).is_file():
        hints.refuse(frozenset({"input_layer", "output_layer"}), f"this SavedModel, whose {_SPEC} says it")
        spec = ModelSpec.from_json((folder / _SPEC).read_bytes())
        preprocessing, reason = spec.preprocessing, f"as its {_SPEC} says"
    else:
        preprocessing, reason = choose_preprocessing(hints, ends.size, ends.range, name)
    runner: GraphRunner | FunctionRunner
    if modern:
        runner = FunctionRunner(folder, meta, signature, ends, preprocessing)
    else:
        runner = GraphRunner(graph, ends, preprocessing, name, _restore(meta, graph, folder))
    notify(f"model: {name}; {reason}")
    if spec is not None:
        scores = checked_scores(runner, preprocessing, len(spec.labels), name)
        network = Network(runner.raw, len(spec.labels), ends.probability, runner.freeze)
        names_ = spec.labels.names
        return Predictor(name, preprocessing, names_, scores, spec.task, spec.least_scores(), network, spec)
    return frozen_graph.with_labels(runner, ends, preprocessing, folder, hints, notify)


def checked_scores(runner: Any, preprocessing: Preprocessing, count: int, name: str) -> Any:
    """The runner's scores, once it is sure that there is one for each label of a spec."""
    found = frozen_graph.count_scores(runner, preprocessing)
    if found != count:
        raise ModelError(f"{name} gives {counted(found, 'score')}, its {_SPEC} has {counted(count, 'label')}")
    return runner.scores


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


def _signature_ends(meta: Any, graph: Graph, hints: Hints, name: str) -> tuple[TensorName, TensorName, Signature]:
    """Tensors that the user names, or a signature with one picture in and one row of scores out."""
    said = [
        None if text is None else graph.find(text, option)
        for text, option in ((hints.input_layer, "--input-layer"), (hints.output_layer, "--output-layer"))
    ]
    if said[0] is not None and said[1] is not None:
        return said[0], said[1], Signature("", "", "")
    signatures = {key: found for key, found in meta.signature_def.items() if len(found.inputs) == 1}
    key = _USUAL_SIGNATURE if _USUAL_SIGNATURE in signatures else next(iter(signatures), "")
    if not key or (key != _USUAL_SIGNATURE and len(signatures) != 1):
        raise ModelError(
            f"{name}: no signature {_USUAL_SIGNATURE!r} that takes one picture; it has {names(meta.signature_def)}"
        )
    # Classifiers of TensorFlow 1 may give the class beside its scores: those are float32 (1 in types.proto).
    outputs = {key: found for key, found in signatures[key].outputs.items() if found.dtype == 1}
    if len(outputs) != 1 and said[1] is None:
        raise ModelError(f"{name}: its signature gives {len(outputs)} rows of scores, not one ({names(outputs)})")
    ((taken, taken_tensor),) = signatures[key].inputs.items()
    given, given_tensor = next(iter(outputs.items()))
    entry, exit_ = said[0] or TensorName.parse(taken_tensor.name), said[1] or TensorName.parse(given_tensor.name)
    if entry.node not in graph.nodes or exit_.node not in graph.nodes:
        raise ModelError(f"{name} is damaged: its signature names tensors that are not there")
    return entry, exit_, Signature(key, taken, given)


def _restore(meta: Any, graph: Graph, folder: Path) -> tuple[str, dict[str, str]] | None:
    """The node that reads the variables and what it is fed; None for a model without any."""
    if not (folder / "variables" / "variables.index").is_file():
        return None
    node = TensorName.parse(meta.saver_def.restore_op_name).node
    filename = TensorName.parse(meta.saver_def.filename_tensor_name)
    if node not in graph.nodes or filename.node not in graph.nodes:
        raise ModelError(f"{shown(folder)} is damaged: nothing in it reads its variables")
    return node, {str(filename): str(folder / "variables" / "variables")}
