"""A frozen TensorFlow graph (``.pb``), as retrain.py, TF for Poets and label_image.py had it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converters.inputs.graph import Graph
from converters.inputs.graph_ends import Ends, answer_behind, find_ends
from converters.inputs.graph_session import GraphRunner
from converters.inputs.hints import Hints
from converters.inputs.labels import choose_labels
from converters.inputs.pixels import choose_preprocessing
from converters.inputs.predictor import Network, Notify, Predictor, for_labels
from converters.inputs.saved_functions import FunctionRunner
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError
from runtime.file_kind import contents, looks_like, shown
from runtime.spec import Preprocessing


def load(path: Path, hints: Hints, notify: Notify) -> Predictor:
    """Read the graph, find its ends, and load what lies between them.

    Raises:
        ModelError: no graph, damaged, operations that are not known or not harmless, labels that do not fit.
        UsageError: hints that do not fit.
        MissingPackageError: TensorFlow is not installed.
    """
    graph = Graph(read_graph(path))
    name = shown(path)
    ends = find_ends(graph, hints, name)
    preprocessing, reason = choose_preprocessing(hints, ends.size, ends.range, name)
    runner = GraphRunner(graph, ends, preprocessing, name)
    notify(f"model: {name}; {shown(str(ends.entry))} -> {shown(str(ends.exit))}; {reason}")
    if hints.output_layer is None and (answer := answer_behind(graph, ends.exit)) is not None:
        notify(f"the graph makes an answer of its scores with {answer}; the scores before it are taken")
    return with_labels(runner, ends, preprocessing, path, hints, notify)


def with_labels(
    runner: GraphRunner | FunctionRunner,
    ends: Ends,
    preprocessing: Preprocessing,
    path: Path,
    hints: Hints,
    notify: Notify,
) -> Predictor:
    """A loaded graph that says nothing about its classes, and labels for them."""
    count = count_scores(runner, preprocessing)
    labels = choose_labels(hints.labels, count, path, notify)
    network = Network(runner.raw, count, ends.probability, runner.freeze)
    scores = for_labels(runner.scores, labels, count)
    return Predictor(shown(path), preprocessing, labels, scores, network=network)


def count_scores(runner: GraphRunner | FunctionRunner, preprocessing: Preprocessing) -> int:
    """How many scores a graph gives; running it is the one sure way to learn that."""
    grey = np.full((preprocessing.height, preprocessing.width, 3), 127, np.uint8)
    return int(runner.raw(grey).size)


def read_graph(path: Path) -> Any:
    """The ``GraphDef`` in a file.

    Raises:
        ModelError: missing, unreadable, damaged, or something else.
    """
    tf = import_tensorflow()
    definition = tf.compat.v1.GraphDef()
    with contents(path) as data:
        head = bytes(data[:1024])
        try:
            definition.ParseFromString(data[:])
            sound = bool(definition.node) and all(node.name and node.op for node in definition.node)
        except Exception:  # DecodeError, and RecursionError or MemoryError with hostile ones
            sound = False
    if not sound:
        hint = "; a text graph (.pbtxt) must be frozen first" if path.suffix == ".pbtxt" else ""
        raise ModelError(
            f"{shown(path)} is no frozen TensorFlow graph, or is cut short: it looks like {looks_like(head)}{hint}"
        )
    return definition
