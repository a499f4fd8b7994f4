"""The model file that a user means, and the classifier that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runtime.errors import UsageError
from runtime.file_kind import shown
from runtime.guard import loading

if TYPE_CHECKING:
    from runtime.classifier import Classifier
    from runtime.load_request import LoadRequest
    from runtime.options import ModelOptions

#: Where ``toolkit train`` puts the model unless told otherwise.
DEFAULT_FOLDER = Path("model")


def find_model(model: Path | None, option: str = "--model ") -> Path:
    """The model file that is meant: a file as it is; in a folder the export, int8 preferred.

    Args:
        model: a ``.tflite`` file, an export folder or a bundle; None for ``./model``.
        option: how the user named it, for the message.

    Raises:
        UsageError: no model file there.
    """
    folder = model or DEFAULT_FOLDER
    if model is not None and not model.exists():
        raise UsageError(f"{option}{shown(model)}: no such file or folder")
    if model is not None and not model.is_dir():
        return model
    candidates = sorted([*folder.glob("export/*.tflite"), *folder.glob("*.tflite")])
    for ending in ("_int8.tflite", "_float32.tflite", ".tflite"):
        for path in candidates:
            if path.name.endswith(ending):
                return path
    hint = "toolkit convert --quantize makes them" if folder.is_dir() else "name a .tflite file with --model"
    raise UsageError(f"no model: {shown(folder)} has no exported .tflite files; {hint}")


def load_request(options: ModelOptions, log: TextIO) -> LoadRequest:
    """How the model that is meant is to be loaded; which one it is, where that was not said, goes to ``log``.

    Raises:
        UsageError: no model file there.
        EdgeExportError: with ``autotune``, whatever the model's loading raises.
    """
    from runtime.load_request import LoadRequest

    path = find_model(options.model)
    if options.model != path:
        print(f"model: {shown(path)}", file=log)
    request = LoadRequest(path, options.overrides, options.threads, options.xnnpack, options.delegate)
    if not options.autotune:
        return request
    from runtime.autotune import tune

    tuning = tune(request)
    print(f"autotune: {tuning.text()}", file=log, flush=True)
    return tuning.applied(request)


def load_model(options: ModelOptions, log: TextIO) -> Classifier:
    """Load the model that is meant; which one it is, where that was not said, and its warnings go to ``log``.

    Raises:
        UsageError: no model file there, or nobody says how to normalise pixels.
        ModelError: it is no picture classifier, or the interpreter refuses it.
        MissingPackageError: no interpreter is installed.
    """
    from runtime.quiet import quiet_stderr

    request = load_request(options, log)
    loading(shown(request.path))
    with quiet_stderr():
        classifier = request.load_tried()
    for warning in classifier.contract.warnings:
        print(f"warning: {warning}", file=log)
    return classifier
