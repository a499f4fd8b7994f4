"""How often a score of 0.8 is right: the bins behind the calibration plot and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task

#: Bins of equal width, as in C. Guo et al., https://arxiv.org/abs/1706.04599, section 2, and ``toolkit.calibrate``.
BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers whose score lies in one part of the scale: how many, their mean score, and the share that is right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy.

    Attributes:
        bins: those with answers in them, from low to high scores.
        answers: number of answers: one a picture, or one a picture and label in multi-label work.
        error: expected calibration error, 0..1: mean distance of confidence and accuracy, weighted by answers.
        chance: the error that scores which mean probabilities would show with as many answers, 0..1. Few answers
            make it large, so an error near it is none that could be mended.
    """

    bins: tuple[Bin, ...]
    answers: int
    error: float
    chance: float

    def __str__(self) -> str:
        return f"{100 * self.error:.1f} points (expected; {100 * self.chance:.1f} of them by chance)"

    def to_json(self) -> dict[str, Any]:
        """For metrics files."""
        bins = [{"count": b.count, "confidence": b.confidence, "accuracy": b.accuracy} for b in self.bins]
        return {
            "expected_calibration_error": self.error,
            "expected_by_chance": self.chance,
            "answers": self.answers,
            "bins": bins,
        }


def reliability(scores: NDArray[np.float32], truth: NDArray[np.bool_], task: Task = "single-label") -> Reliability:
    """Sort answers into bins by their score.

    Args:
        scores: float32 (pictures, classes), 0..1.
        truth: bool (pictures, classes).
        task: single-label takes the best score of each picture; multi-label every score of every picture.
    """
    if task == "multi-label":
        confidence, right = scores.ravel(), truth.ravel()
    else:
        rows, best = np.arange(len(scores)), scores.argmax(axis=1)
        confidence, right = scores[rows, best], truth[rows, best]
    number = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    sums = np.bincount(number, confidence.astype(np.float64), BINS)
    hits = np.bincount(number, right, BINS)
    bins = tuple(
        Bin(int(counts[b]), float(sums[b] / counts[b]), float(hits[b] / counts[b])) for b in np.flatnonzero(counts)
    )
    answers = max(1, len(confidence))
    error = float(np.abs(sums - hits).sum() / answers)
    # Were each score a probability, the hits of a bin would have the variance sum p (1 - p) around its sum of scores;
    # the mean distance of a normal variable from its mean is sqrt(2 / pi) deviations.
    variance = np.bincount(number, confidence.astype(np.float64) * (1.0 - confidence), BINS)
    chance = float(np.sqrt(2 / np.pi * np.maximum(variance, 0.0)).sum() / answers)
    return Reliability(bins, len(confidence), error, chance)
