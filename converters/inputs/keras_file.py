"""A Keras model in a ``.keras`` or ``.h5`` file, loaded in safe mode: no code of the file is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import MODEL_FILE
from converters.inputs.frozen_part import FrozenPart, freeze_function
from converters.inputs.hints import Hints
from converters.inputs.keras_errors import why_not_loaded
from converters.inputs.keras_limits import check_hdf5, check_zip
from converters.inputs.labels import choose_labels
from converters.inputs.pixels import RAW_RANGE, UNIT_RANGE, PixelRange, choose_preprocessing, range_before
from converters.inputs.predictor import Network, Notify, Predictor, for_labels, probabilities
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError, counted, first_line
from runtime.file_kind import contents, looks_like, shown
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec, Preprocessing

#: First bytes of ``.h5`` and ``.keras`` files.
HDF5_MAGIC, ZIP_MAGIC = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
_PROBABILITY = ("softmax", "sigmoid")


def load(path: Path, hints: Hints, notify: Notify) -> Predictor:
    """Open the file; the spec of a bundle that it lies in is used, else hints and guesses.

    Raises:
        ModelError: damaged, not a picture classifier, or not to be loaded without running its code.
        UsageError: hints that do not fit.
        MissingPackageError: TensorFlow is not installed.
    """
    if path.name == MODEL_FILE and (path.parent / SPEC_FILE_NAME).is_file():
        return load_with_spec(path, ModelSpec.from_json((path.parent / SPEC_FILE_NAME).read_bytes()), hints, notify)
    hints.refuse(frozenset(vars(hints)) - {"input_layer", "output_layer"}, "a Keras model, whose ends are known")
    model = read_keras(path)
    name = shown(path)
    size, count = _ends(model, name)
    preprocessing, reason = choose_preprocessing(hints, size, _guess_range(model), name)
    notify(f"model: {name}; {reason}")
    labels = choose_labels(hints.labels, count, path, notify)
    network = _network(model, count, preprocessing, _is_probability(model), name)
    return Predictor(name, preprocessing, labels, for_labels(_scores(network, name), labels, count), network=network)


def load_with_spec(path: Path, spec: ModelSpec, hints: Hints, notify: Notify) -> Predictor:
    """Open a file that a spec describes.

    Raises:
        ModelError: damaged, or of another number of classes than the spec.
        UsageError: any hint: the spec says it.
    """
    hints.refuse(frozenset(), f"a bundle, whose {SPEC_FILE_NAME} says it")
    model = read_keras(path)
    name = shown(path)
    _, count = _ends(model, name)
    if count != len(spec.labels):
        raise ModelError(
            f"{name} gives {counted(count, 'score')}, {SPEC_FILE_NAME} beside it has "
            f"{counted(len(spec.labels), 'label')}"
        )
    notify(f"model: {name}")
    network = _network(model, count, spec.preprocessing, True, name)
    scores, labels = _scores(network, name), spec.labels.names
    return Predictor(name, spec.preprocessing, labels, scores, spec.task, spec.least_scores(), network, spec)


def read_keras(path: Path) -> Any:
    """The ``keras.Model`` in a file.

    Raises:
        ModelError: damaged, weights only, or with layers that carry code.
        MissingPackageError: TensorFlow is not installed.
    """
    with contents(path) as data:
        head = bytes(data[:1024])
    if not head.startswith((HDF5_MAGIC, ZIP_MAGIC)):
        raise ModelError(
            f"{shown(path)} is no Keras model, which is a zip archive (.keras) or HDF5 (.h5): it looks like "
            f"{looks_like(head)}"
        )
    is_hdf5 = head.startswith(HDF5_MAGIC)
    what, endings = ("HDF5", (".h5", ".hdf5")) if is_hdf5 else ("a zip archive", (".keras",))
    if path.suffix not in endings:
        raise ModelError(
            f"{shown(path)} is {what}, and Keras loads such a model only by a name that ends in {endings[0]}: rename it"
        )
    (check_hdf5 if is_hdf5 else check_zip)(path)
    import_tensorflow()
    import keras

    try:
        with quiet_stderr():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, JSON, HDF5 and Keras errors
        raise ModelError(f"cannot load {shown(path)} as a Keras model: {why_not_loaded(path, error)}") from error


def _ends(model: Any, name: str) -> tuple[tuple[int | None, int | None], int]:
    """Height and width of the input, and the number of scores."""
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{name}: is no picture classifier: {counted(len(inputs), 'input')} and "
            f"{counted(len(outputs), 'output')}, not one of each"
        )
    taken, given = tuple(inputs[0].shape), tuple(outputs[0].shape)
    if len(taken) != 4 or taken[3] != 3:
        raise ModelError(f"{name}: is no picture classifier: its input has shape {taken}, not (any, height, width, 3)")
    if len(given) != 2 or not given[1]:
        raise ModelError(f"{name}: is no classifier: its output has shape {given}, not (any, classes)")
    return (taken[1], taken[2]), int(given[1])


def _network(model: Any, count: int, preprocessing: Preprocessing, known: bool | None, name: str) -> Network:
    # How the model was built; the other way it works with a warning.
    listed = isinstance(getattr(model, "input", None), list)

    def forward(images: Any) -> Any:
        return model([images] if listed else images, training=False)

    def raw(pixels: NDArray[Any]) -> NDArray[Any]:
        try:
            values: NDArray[Any] = np.asarray(forward(normalize(pixels, preprocessing)[None])).reshape(-1)
        except Exception as error:  # a shape that only running shows, ...
            raise ModelError(f"{name}: the model fails when it runs: {first_line(error)}") from error
        return values

    def freeze() -> FrozenPart:
        tf = import_tensorflow()
        taken, shape = model.inputs[0], (None, preprocessing.height, preprocessing.width, 3)
        try:
            return freeze_function(forward, shape, tf.TensorShape(taken.shape), taken.dtype)
        except Exception as error:
            raise ModelError(f"{name}: TensorFlow cannot freeze the model: {first_line(error)}") from error

    return Network(raw, count, known, freeze, model)


def _scores(network: Network, name: str) -> Any:
    return lambda pixels: probabilities(network.raw(pixels), network.probability, name)


def _is_probability(model: Any) -> bool | None:
    """Whether the last layer is a softmax or sigmoid; None where that cannot be told."""
    layer = model.layers[-1]
    while getattr(layer, "layers", None):
        layer = layer.layers[-1]
    kind = type(layer).__name__.lower()
    if kind in _PROBABILITY:
        return True
    activation = getattr(getattr(layer, "activation", None), "__name__", None)
    return None if activation is None else activation in _PROBABILITY


def _guess_range(model: Any) -> PixelRange:
    """From a layer that rescales or normalises at the beginning."""
    for layer in _first_layers(model):
        kind = type(layer).__name__
        if kind == "Rescaling":
            return range_before(float(np.max(np.abs(layer.scale))))
        if kind == "Normalization":
            return RAW_RANGE if float(np.max(np.asarray(layer.mean))) > 1 else UNIT_RANGE
    return UNIT_RANGE


def _first_layers(model: Any) -> list[Any]:
    """Layers up to the first with weights of its own, those of a model within the model in its place."""
    found: list[Any] = []
    for layer in model.layers:
        if getattr(layer, "layers", None):
            return found + _first_layers(layer)
        found.append(layer)
        if layer.weights and type(layer).__name__ != "Normalization":
            return found
    return found
