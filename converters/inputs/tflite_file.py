"""A ``.tflite`` file, as ``runtime classify`` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from converters.inputs.hints import Hints
from converters.inputs.labels import choose_labels
from converters.inputs.pixels import UNIT_RANGE
from converters.inputs.predictor import Network, Notify, Predictor, for_labels, probabilities
from runtime.classifier import Classifier
from runtime.contract import Overrides
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr

#: Hints that such a file leaves room for.
TAKEN = frozenset({"labels", "mean", "std", "resample"})


def load(path: Path, hints: Hints, notify: Notify) -> Predictor:
    """Open the file; labels and preprocessing come out of it where it carries them.

    Raises:
        ModelError: no picture classifier, or labels that do not fit.
        UsageError: nobody says how to normalise pixels; hints that have no place.
    """
    hints.refuse(TAKEN, "a .tflite file, which says it itself")
    name = shown(path)
    with quiet_stderr():
        classifier = Classifier.load(path, overrides(hints))
    notify(f"model: {name}")
    return predictor(classifier, path, hints, notify)


def overrides(hints: Hints) -> Overrides:
    """What the user says of a file, for the runtime; mean without std, or the other way, as label_image.py had it."""
    mean, std = hints.mean, hints.std
    if (mean is None) != (std is None):
        mean, std = mean or (UNIT_RANGE.mean,), std or (UNIT_RANGE.std,)
    return Overrides(mean=mean, std=std, resample=hints.resample)


def predictor(classifier: Classifier, path: Path, hints: Hints, notify: Notify) -> Predictor:
    """A loaded file, with labels for its scores.

    Raises:
        ModelError: labels that do not fit.
    """
    contract, count, name = classifier.contract, classifier.model.classes, shown(path)
    labels = contract.labels
    if hints.labels is not None or contract.labels_from == "none":
        labels = choose_labels(hints.labels, count, path, notify)

    def raw(pixels: NDArray[Any]) -> NDArray[Any]:
        return classifier.model.output.dequantize(classifier.model.run(classifier.tensor(pixels)))

    known = contract.gives_probabilities
    return Predictor(
        name,
        contract.preprocessing,
        labels,
        for_labels(lambda pixels: probabilities(raw(pixels), known, name), labels, count),
        contract.task,
        contract.least_scores if len(labels) == count else (),
        Network(raw, count, known),
        contract.spec,
    )
