"""Precision, recall, F1 and average precision of one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares.

    Attributes:
        label: of the class.
        true_positives: pictures of the class that were answered with it.
        false_positives: other pictures that were answered with it.
        false_negatives: pictures of the class that were not.
        pictures: all pictures.
        average_precision: multi-label only, 0..1; None without a picture of the class.
        threshold: multi-label only, the least score that counts as an answer.
    """

    label: str
    true_positives: int
    false_positives: int
    false_negatives: int
    pictures: int
    average_precision: float | None = None
    threshold: float | None = None

    @property
    def support(self) -> int:
        """Pictures of the class."""
        return self.true_positives + self.false_negatives

    @property
    def true_negatives(self) -> int:
        """Other pictures that were not answered with the class."""
        return self.pictures - self.support - self.false_positives

    @property
    def precision(self) -> float | None:
        """Right answers among the answers with this class; None where it was never answered."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Right answers among the class's pictures; None where it has none."""
        return _ratio(self.true_positives, self.support)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where the class was neither there nor answered."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)

    def to_json(self) -> dict[str, Any]:
        """For metrics files."""
        result: dict[str, Any] = {
            "label": self.label,
            "support": self.support,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
        }
        if self.threshold is not None:
            result |= {"average_precision": self.average_precision, "threshold": self.threshold}
        return result


def macro_average(classes: Sequence[ClassFigures], name: str) -> float | None:
    """Mean of a figure over the classes that have pictures; None where none has.

    A precision that cannot be said, because the class was never answered, counts as 0: else a model that never
    answers a class would gain by it.
    """
    values = [getattr(figures, name) or 0.0 for figures in classes if figures.support]
    return sum(values) / len(values) if values else None


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    """Area under the steps of the precision-recall curve, 0..1; None without a positive.

    Sum over thresholds of (recall - recall before) x precision, equal scores taken together: the definition of
    scikit-learn's ``average_precision_score``.

    Args:
        scores: float32 (pictures,).
        truth: bool (pictures,).
    """
    if not truth.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of each run of equal scores
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
