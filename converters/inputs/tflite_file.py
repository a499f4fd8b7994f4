"""A ``.tflite`` file, as ``runtime classify`` runs it."""

from __future__ import annotations

from pathlib import Path

from converters.inputs.hints import Hints
from converters.inputs.labels import choose_labels
from converters.inputs.predictor import Notify, Predictor
from runtime.classifier import Classifier
from runtime.contract import Overrides
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr

_TAKEN = frozenset({"labels", "mean", "std", "resample"})


def load(path: Path, hints: Hints, notify: Notify) -> Predictor:
    """Open the file; labels and preprocessing come out of it where it carries them.

    Raises:
        ModelError: no picture classifier, or labels that do not fit.
        UsageError: nobody says how to normalise pixels; hints that have no place.
    """
    hints.refuse(_TAKEN, "a .tflite file, which says it itself")
    mean, std = hints.mean, hints.std
    if (mean is None) != (std is None):  # label_image.py's defaults
        mean, std = mean or (0.0,), std or (255.0,)
    with quiet_stderr():
        classifier = Classifier.load(path, Overrides(mean=mean, std=std, resample=hints.resample))
    contract = classifier.contract
    notify(f"model: {shown(path)}")
    labels = contract.labels
    if hints.labels is not None or contract.labels_from == "none":
        labels = choose_labels(hints.labels, classifier.model.classes, path, notify)
    if len(labels) != classifier.model.classes:
        raise ModelError(f"{shown(path)} gives {classifier.model.classes} score, not one for each label")
    least = contract.least_scores
    return Predictor(shown(path), contract.preprocessing, labels, classifier.scores, contract.task, least)
