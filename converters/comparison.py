"""Scores of some model on the check pictures beside the trained model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from converters.paired import Paired
from converters.reference import Reference
from runtime.errors import ModelError, counted
from runtime.file_kind import shown


@dataclass(frozen=True)
class Comparison:
    """How a model answers the check pictures.

    Attributes:
        largest_score_difference: to the trained model, over all pictures and classes.
        top1_agreement: share of pictures with the trained model's answer, 0..1; of a single-label model its best
            class, whether or not that is answered ``unknown``.
        label_agreement: share of the answered labels that both give, 0..1 (Dice's coefficient); of a single-label
            model the same as ``top1_agreement``, of many labels not spoilt by one of them.
        unknown: check pictures that are answered ``unknown``.
        unknown_changed: check pictures that either the file or the trained model answers ``unknown``, and not both.
        accuracy: on the test pictures.
        accuracy_drop: points (per cent) below the trained model; None without test pictures.
        paired: the pictures whose answer is another than the trained model's.
        scores: float32 (count, classes), of every check picture.
    """

    largest_score_difference: float
    top1_agreement: float
    label_agreement: float
    unknown: int
    unknown_changed: int
    accuracy: Accuracy
    accuracy_drop: float | None
    paired: Paired
    scores: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """For export.json; scores are kept apart."""
        return {
            "largest_score_difference": self.largest_score_difference,
            "pictures": len(self.scores),
            "top1_agreement": self.top1_agreement,
            "label_agreement": self.label_agreement,
            "unknown": self.unknown,
            "unknown_changed": self.unknown_changed,
            "accuracy": self.accuracy.to_json(),
            "accuracy_drop": self.accuracy_drop,
            "changed": self.paired.to_json(),
        }


def compare(name: str, scores: NDArray[np.float32], reference: Reference) -> dict[str, Any]:
    """The attributes of a ``Comparison``.

    Args:
        name: of the file, for errors.
        scores: that it gives for the reference's pictures.
        reference: what they are compared with.

    Raises:
        ModelError: scores that are no numbers, or not as many as the reference has.
    """
    if not np.isfinite(scores).all():
        raise ModelError(f"{shown(name)} gives scores that are not numbers")
    if scores.shape != reference.scores.shape:
        raise ModelError(
            f"{shown(name)} gives {counted(scores.shape[1], 'score')} for each of "
            f"{counted(scores.shape[0], 'picture')}; what it is compared with has "
            f"{reference.scores.shape[1]} for each of {reference.scores.shape[0]}"
        )
    given, expected = reference.answers(scores), reference.answers(reference.scores)
    same = (given == expected).all(axis=1)
    labels = int(given.sum() + expected.sum())
    unknown = reference.unanswered(scores)
    accuracy = reference.accuracy_of(scores)
    return {
        "largest_score_difference": float(np.abs(scores - reference.scores).max(initial=0.0)),
        "top1_agreement": float(same.mean()) if len(same) else 1.0,
        "label_agreement": 2 * int((given & expected).sum()) / labels if labels else 1.0,
        "unknown": int(unknown.sum()),
        "unknown_changed": int((unknown != reference.unanswered(reference.scores)).sum()),
        "accuracy": accuracy,
        "accuracy_drop": (reference.accuracy.value - accuracy.value) * 100 if accuracy.images else None,
        "paired": reference.paired_with(scores),
        "scores": scores,
    }
