"""Tells which kind of model a path is, by what a folder holds or how a file begins."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from converters.inputs import bundle, keras_file, saved_model
from runtime.errors import UsageError
from runtime.file_kind import contents, looks_like, shown

#: ``tflite folder`` is one with ``.tflite`` files, of which one is meant.
Kind = Literal["bundle", "saved model", "tflite folder", "tflite", "keras", "graph"]

_TFLITE = ".tflite"
_KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
_GRAPH_SUFFIXES = (".pb", ".pbtxt")
#: How files are called that hold a model.
MODEL_SUFFIXES = frozenset({_TFLITE, *_KERAS_SUFFIXES, *_GRAPH_SUFFIXES})


def kind_of(path: Path, option: str = "", graph: bool = False) -> Kind:
    """The kind of a model; a SavedModel's ``saved_model.pb`` stands for its folder.

    Args:
        path: of a file or folder.
        option: how the user named it, for errors.
        graph: a file that is of no other kind is a frozen graph, whatever it is called.

    Raises:
        UsageError: no such file or folder, or one that holds no model.
        ModelError: a file that cannot be read.
    """
    try:
        path.lstat()
    except (OSError, ValueError):
        raise UsageError(f"{option}{shown(path)}: no such file or folder") from None
    return _kind_of_folder(path, option) if path.is_dir() else _kind_of_file(path, option, graph)


def _kind_of_folder(folder: Path, option: str) -> Kind:
    if bundle.is_bundle(folder):
        return "bundle"
    if (folder / saved_model.GRAPH_FILE).is_file():
        return "saved model"
    if any(folder.glob("*.tflite")):
        return "tflite folder"
    raise UsageError(
        f"{option}{shown(folder)} holds no model: neither a bundle of toolkit train nor a SavedModel (saved_model.pb) "
        "nor .tflite files"
    )


def _kind_of_file(path: Path, option: str, graph: bool) -> Kind:
    """By the file's first bytes; its name counts where they say nothing."""
    if path.name == saved_model.GRAPH_FILE:
        return "saved model"
    with contents(path) as data:
        head = bytes(data[:1024])
    suffix = path.suffix.lower()
    if head[4:8] == b"TFL3" or suffix == _TFLITE:
        return "tflite"
    if head.startswith((keras_file.HDF5_MAGIC, keras_file.ZIP_MAGIC)) or suffix in _KERAS_SUFFIXES:
        return "keras"
    if graph or suffix in _GRAPH_SUFFIXES:
        return "graph"
    more = "--graph takes a frozen graph of any name" if option else "a frozen graph's name must end in .pb"
    raise UsageError(
        f"{option}{shown(path)} looks like {looks_like(head)}; it takes a bundle, .keras, .h5, a SavedModel folder, "
        f".pb or .tflite ({more})"
    )
