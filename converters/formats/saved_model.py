"""Keras model to a TensorFlow 2 SavedModel."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from converters.formats.tracing import traced_model
from converters.tensorflow import import_tensorflow
from converters.whole_folder import in_the_way, replace_folder, standing_still
from runtime.errors import DataError, UsageError, first_line
from runtime.file_kind import shown
from runtime.files import SYSTEM_FILES
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec

INPUT_NAME = "image"
OUTPUT_NAME = "scores"
#: Folder for files of one's own in a SavedModel (tensorflow/python/saved_model/constants.py).
EXTRA_ASSETS = "assets.extra"
_FILES = {"saved_model.pb", "fingerprint.pb", "keras_metadata.pb", "variables", "assets", EXTRA_ASSETS}


def check_saved_model_folder(folder: Path) -> None:
    """Make sure that writing a SavedModel here would replace nothing but one.

    Raises:
        UsageError: the folder is a file, cannot be read or written, or holds something else.
    """
    try:
        with standing_still(folder):
            if reason := in_the_way(folder):
                raise UsageError(f"--saved-model-dir {shown(folder)} cannot be used: {reason}")
            names = {path.name for path in folder.iterdir()} - _FILES - SYSTEM_FILES
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"--saved-model-dir {shown(folder)} cannot be used: {error.strerror or error}") from error
    if names:
        raise UsageError(
            f"--saved-model-dir {shown(folder)} holds {shown(min(names))}, which is no part of a SavedModel and "
            "would be lost; name another folder"
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(f"--saved-model-dir {shown(folder)} is the current folder; name one that can be replaced")


def write_saved_model(folder: Path, model: Any, spec: ModelSpec) -> None:
    """Write a SavedModel; the folder holds the whole new one or what was there before.

    Signature ``serving_default``: ``image``, float32 (any batch, height, width, 3), normalised as the spec says,
    to ``scores``, float32 (batch, outputs). The spec lies in ``assets.extra/spec.json``.

    Args:
        folder: of the SavedModel; one that is there is replaced.
        model: a ``keras.Model`` with one image input of fixed height and width.
        spec: of the model.

    Raises:
        UsageError: see ``check_saved_model_folder``.
        DataError: the folder cannot be written.
    """
    check_saved_model_folder(folder)
    try:
        replace_folder(folder, lambda target: _fill(target, model, spec))
    except OSError as error:
        raise DataError(f"cannot write the SavedModel to {shown(folder)}: {error.strerror or error}") from error


def _fill(folder: Path, model: Any, spec: ModelSpec) -> None:
    tf = import_tensorflow()
    module = tf.Module()
    function = traced_model(model, input_name=INPUT_NAME, output_name=OUTPUT_NAME)
    module.weights = [variable.value for variable in model.variables]
    module.classify = function
    signature = tf.function(lambda image: {OUTPUT_NAME: function(image)}, input_signature=function.input_signature)
    with quiet_stderr():
        try:
            tf.saved_model.save(module, str(folder), signatures=signature)
        except tf.errors.ResourceExhaustedError as error:  # its own text is a page long
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        except tf.errors.OpError as error:
            raise OSError(first_line(error)) from error
    (folder / EXTRA_ASSETS).mkdir()
    (folder / EXTRA_ASSETS / SPEC_FILE_NAME).write_text(spec.to_json(), encoding="utf-8")
