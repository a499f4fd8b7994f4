"""Tells which kind of model a path is, and opens it."""

from __future__ import annotations

from pathlib import Path

from converters.inputs import bundle, frozen_graph, keras_file, saved_model, tflite_file
from converters.inputs.hints import Hints
from converters.inputs.predictor import Notify, Predictor
from runtime.classify import DEFAULT_FOLDER, find_model
from runtime.errors import UsageError
from runtime.file_kind import contents, looks_like, shown
from runtime.images import find_images
from toolkit.predict.inputs import architecture
from toolkit.predict.options import PredictOptions

_TFLITE = ".tflite"
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_GRAPH_SUFFIXES = (".pb", ".pbtxt")
_MODEL_SUFFIXES = frozenset({_TFLITE, *_KERAS_SUFFIXES, *_GRAPH_SUFFIXES})


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
        _require(options.graph, "--graph")
        return _open_file(options.graph, hints, notify, graph=True)
    path = options.model or DEFAULT_FOLDER
    if options.model is None and not path.exists():
        raise bundle.missing(path)
    _require(path, "--model")
    return _open_folder(path, hints, notify) if path.is_dir() else _open_file(path, hints, notify)


def looks_like_model(path: Path) -> bool:
    """Whether a path that was named as a picture is a model: a folder that holds one and no picture, or a file."""
    try:
        if path.is_dir():
            holds = bundle.is_bundle(path) or (path / saved_model.GRAPH_FILE).is_file() or any(path.glob("*.tflite"))
            return holds and not any(find_images(path))
        return path.is_file() and path.suffix.lower() in _MODEL_SUFFIXES
    except (OSError, ValueError):  # who reads it as pictures says what is wrong with it
        return False


def _require(path: Path, option: str) -> None:
    try:
        path.lstat()
    except (OSError, ValueError):
        raise UsageError(f"{option} {shown(path)}: no such file or folder") from None


def _open_folder(folder: Path, hints: Hints, notify: Notify) -> Predictor:
    if bundle.is_bundle(folder):
        return bundle.load(folder, hints, notify)
    if (folder / saved_model.GRAPH_FILE).is_file():
        return saved_model.load(folder, hints, notify)
    if any(folder.glob("*.tflite")):
        return tflite_file.load(find_model(folder), hints, notify)
    raise UsageError(
        f"--model {shown(folder)} holds no model: neither a bundle of toolkit train nor a SavedModel (saved_model.pb) "
        "nor .tflite files"
    )


def _open_file(path: Path, hints: Hints, notify: Notify, graph: bool = False) -> Predictor:
    """By the file's first bytes; its name counts where they say nothing."""
    if path.name == saved_model.GRAPH_FILE:
        return saved_model.load(path.parent, hints, notify)
    with contents(path) as data:
        head = bytes(data[:1024])
    suffix = path.suffix.lower()
    if head[4:8] == b"TFL3" or suffix == _TFLITE:
        return tflite_file.load(path, hints, notify)
    if head.startswith((keras_file.HDF5_MAGIC, keras_file.ZIP_MAGIC)) or suffix in _KERAS_SUFFIXES:
        return keras_file.load(path, hints, notify)
    if graph or suffix in _GRAPH_SUFFIXES:
        return frozen_graph.load(path, hints, notify)
    raise UsageError(
        f"--model {shown(path)} looks like {looks_like(head)}; it takes a bundle, .keras, .h5, a SavedModel folder, "
        ".pb or .tflite (--graph takes a frozen graph of any name)"
    )
