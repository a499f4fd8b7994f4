"""A model as a TensorFlow 2 SavedModel."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from converters.formats.beside import labels_and_spec
from converters.formats.tracing import TensorFlowSource, traced_model
from converters.tensorflow import import_tensorflow
from converters.whole_folder import in_the_way, replace_folder, standing_still
from runtime.errors import DataError, EdgeExportError, ModelError, UsageError, first_line
from runtime.file_kind import shown
from runtime.files import SYSTEM_FILES
from runtime.quiet import quiet_stderr
from runtime.spec import ModelSpec

INPUT_NAME = "image"
OUTPUT_NAME = "scores"
#: Of the name of a folder that ``write`` writes.
FOLDER_ENDING = "_saved_model"
#: Folder for files of one's own in a SavedModel (tensorflow/python/saved_model/constants.py).
EXTRA_ASSETS = "assets.extra"
_FILES = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets", EXTRA_ASSETS}


def check_saved_model_folder(folder: Path, option: str = "--saved-model-dir") -> None:
    """Make sure that writing a SavedModel here would replace nothing but one; ``option`` is what named the folder.

    Raises:
        UsageError: the folder is a file, cannot be read or written, or holds something else.
    """
    try:
        with standing_still(folder):
            if reason := in_the_way(folder):
                raise UsageError(f"{option} {shown(folder)} cannot be used: {reason}")
            names = {path.name for path in folder.iterdir()} - _FILES - SYSTEM_FILES
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{option} {shown(folder)} cannot be used: {error.strerror or error}") from error
    if names:
        raise UsageError(
            f"{option} {shown(folder)} holds {shown(min(names))}, which is no part of a SavedModel and "
            "would be lost; name another folder"
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(f"{option} {shown(folder)} is the current folder; name one that can be replaced")


def write_saved_model(folder: Path, model: Any, spec: ModelSpec) -> None:
    """Write a SavedModel; the folder holds the whole new one or what was there before.

    Signature ``serving_default``: ``image``, float32 (any batch, height, width, 3), normalised as the spec says,
    to ``scores``, float32 (batch, outputs). ``assets.extra`` holds labels and specification.

    Args:
        folder: of the SavedModel; one that is there is replaced.
        model: a ``keras.Model`` with one image input of fixed height and width.
        spec: of the model.

    Raises:
        UsageError: see ``check_saved_model_folder``.
        DataError: the folder cannot be written.
    """
    check_saved_model_folder(folder)
    _replace(folder, lambda: traced_model(model, input_name=INPUT_NAME, output_name=OUTPUT_NAME), spec)


def write(source: TensorFlowSource, folder: Path, stem: str) -> list[Path]:
    """Write the folder ``STEM_saved_model`` with the same signature; it is the whole new one or what was there before.

    Args:
        source: what is converted.
        folder: for the new folder.
        stem: of its name, which the file system takes.

    Returns:
        The new folder.

    Raises:
        ModelError: the source is not one of TensorFlow's, or TensorFlow cannot save it.
        UsageError: see ``check_saved_model_folder``.
        DataError: the folder cannot be written.
    """
    target = folder / f"{stem}{FOLDER_ENDING}"
    check_saved_model_folder(target, "--formats saved_model:")
    function = source.traced(INPUT_NAME, OUTPUT_NAME)
    try:
        _replace(target, lambda: function, source.spec)
    except EdgeExportError:
        raise
    except Exception as error:  # whatever comes up in TensorFlow with a graph of somebody else's
        raise ModelError(f"TensorFlow cannot save the model: {first_line(error)}") from error
    return [target]


def _replace(folder: Path, trace: Callable[[], Any], spec: ModelSpec) -> None:
    try:
        replace_folder(folder, lambda target: _fill(target, trace, spec))
    except OSError as error:
        raise DataError(f"cannot write the SavedModel to {shown(folder)}: {error.strerror or error}") from error


def _fill(folder: Path, trace: Callable[[], Any], spec: ModelSpec) -> None:
    tf = import_tensorflow()
    module = tf.Module()
    function = trace()
    # Saved are the variables that the module knows.
    module.weights = _variables(function.get_concrete_function())
    module.classify = function
    signature = tf.function(lambda image: {OUTPUT_NAME: function(image)}, input_signature=function.input_signature)
    with quiet_stderr():
        try:
            tf.saved_model.save(module, str(folder), signatures=signature)
        except tf.errors.ResourceExhaustedError as error:  # its own text is a page long
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        except tf.errors.OpError as error:
            raise OSError(first_line(error)) from error
    _name_by_content(folder / "fingerprint.pb")
    (folder / EXTRA_ASSETS).mkdir()
    for name, content in labels_and_spec(spec).items():
        (folder / EXTRA_ASSETS / name).write_bytes(content)


def _variables(function: Any) -> list[Any]:
    """Those that a concrete function reads, in the order of reading: TensorFlow has them in a set."""
    places = {id(handle): place for place, handle in enumerate(function.graph.external_captures)}
    return sorted(function.variables, key=lambda variable: places.get(id(variable.handle), len(places)))


def _name_by_content(path: Path) -> None:
    """Take the random name out of the fingerprint: its checksums say which model it is, and are always the same."""
    from tensorflow.core.protobuf import fingerprint_pb2

    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.uuid = ""
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))
