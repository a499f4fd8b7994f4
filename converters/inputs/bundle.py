"""A bundle of ``toolkit train``: its exported float32 file where there is one, else its Keras model."""

from __future__ import annotations

from pathlib import Path

from converters.bundle import EXPORT_FOLDER, MODEL_FILE, ModelBundle
from converters.inputs import keras_file, tflite_file
from converters.inputs.hints import Hints
from converters.inputs.predictor import Notify, Predictor
from runtime.associated_files import find_spec
from runtime.errors import EdgeExportError, UsageError
from runtime.file_kind import shown
from runtime.spec import SPEC_FILE_NAME, ModelSpec


def is_bundle(folder: Path) -> bool:
    """Whether a folder is, or was meant to be, a bundle."""
    return any((folder / name).is_file() for name in (SPEC_FILE_NAME, MODEL_FILE))


def load(folder: Path, hints: Hints, notify: Notify) -> Predictor:
    """Open a bundle.

    The float32 export gives the trained model's scores (``toolkit convert`` measured that) and answers in a
    fraction of the seconds that TensorFlow takes to start; it is used where its spec is the bundle's own.

    Raises:
        UsageError: no such folder; any hint: the bundle says it.
        ModelError: a file of the bundle is missing or damaged.
    """
    bundle = ModelBundle.load(folder)
    hints.refuse(frozenset(), f"a bundle, whose {SPEC_FILE_NAME} says it")
    for export in sorted(bundle.export_folder.glob("*_float32.tflite")):
        if _spec_of(export) == bundle.spec:
            return tflite_file.load(export, hints, notify)
    notify(f"no float32 file in {shown(folder / EXPORT_FOLDER)}, which would start faster (toolkit convert makes it)")
    return keras_file.load_with_spec(folder / MODEL_FILE, bundle.spec, hints, notify)


def missing(folder: Path) -> UsageError:
    """The error for the default bundle that is not there."""
    return UsageError(
        f"no model: {shown(folder)} is no bundle of toolkit train; name a model with --model, or an ImageNet network "
        "that needs none: --architecture efficientnet_lite0"
    )


def _spec_of(export: Path) -> ModelSpec | None:
    try:
        blob = find_spec(export)
        return None if blob is None else ModelSpec.from_json(blob)
    except EdgeExportError:
        return None
