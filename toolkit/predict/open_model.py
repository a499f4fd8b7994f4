"""Opens the model that ``toolkit predict`` is told."""

from __future__ import annotations

from pathlib import Path

from converters.inputs import bundle, frozen_graph, keras_file, saved_model, tflite_file
from converters.inputs.detect import MODEL_SUFFIXES, kind_of
from converters.inputs.hints import Hints
from converters.inputs.predictor import Notify, Predictor
from runtime.find_model import DEFAULT_FOLDER, find_model
from runtime.images import find_images
from toolkit.predict.inputs import architecture
from toolkit.predict.options import PredictOptions


def open_model(options: PredictOptions, notify: Notify) -> Predictor:
    """Open what the options name.

    Args:
        options: of the run.
        notify: is told which file is run, and what had to be guessed.

    Raises:
        UsageError: no such file or folder, or hints that do not fit.
        ModelError: a file that is no picture classifier, is damaged, or is not to be trusted.
        MissingPackageError: a package is needed that is not installed.
    """
    hints = options.hints
    if options.architecture is not None:
        return architecture.load(options.architecture, options.model_dir, options.cache_dir, hints, notify)
    if options.graph is not None:
        return _open(options.graph, "--graph ", hints, notify)
    path = options.model or DEFAULT_FOLDER
    if options.model is None and not path.exists():
        raise bundle.missing(path)
    return _open(path, "--model ", hints, notify)


def looks_like_model(path: Path) -> bool:
    """Whether a path that was named as a picture is a model: a folder that holds one and no picture, or a file."""
    try:
        if path.is_dir():
            holds = bundle.is_bundle(path) or (path / saved_model.GRAPH_FILE).is_file() or any(path.glob("*.tflite"))
            return holds and not any(find_images(path))
        return path.is_file() and path.suffix.lower() in MODEL_SUFFIXES
    except (OSError, ValueError):  # who reads it as pictures says what is wrong with it
        return False


def _open(path: Path, option: str, hints: Hints, notify: Notify) -> Predictor:
    kind = kind_of(path, option, graph=option == "--graph ")
    if kind == "bundle":
        return bundle.load(path, hints, notify)
    if kind == "saved model":
        return saved_model.load(path.parent if path.name == saved_model.GRAPH_FILE else path, hints, notify)
    if kind == "tflite folder":
        return tflite_file.load(find_model(path), hints, notify)
    if kind == "tflite":
        return tflite_file.load(path, hints, notify)
    if kind == "keras":
        return keras_file.load(path, hints, notify)
    return frozen_graph.load(path, hints, notify)
