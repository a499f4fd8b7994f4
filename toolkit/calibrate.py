"""Scores that mean probabilities: one temperature, fitted on the validation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.spec import Task
from toolkit.head import Bools, Floats, Head, cross_entropy, scores_of

#: Fewer validation pictures than this say too little about confidence: the scores are left as they are. One number is
#: fitted, and 50 pictures tell it well enough to take most of the error away; 200 tell the error itself to 2 points.
LEAST_IMAGES = 50
# Temperatures that are tried lie between these; a head trained with a penalty needs nothing near them.
_RANGE = (0.1, 10.0)
# Of the expected calibration error: 15 bins of equal width, as in the paper below, section 2.
_BINS = 15


@dataclass(frozen=True)
class Calibration:
    """A temperature and what it does.

    Attributes:
        temperature: logits are divided by it; 1 leaves the scores as they are.
        images: validation pictures it was fitted on; 0 where there were too few.
        before: expected calibration error on them without it, 0..1.
        after: the same with it.
    """

    temperature: float
    images: int
    before: float
    after: float

    def __str__(self) -> str:
        if not self.images:
            return f"not fitted (needs {LEAST_IMAGES} validation pictures)"
        return (
            f"temperature {self.temperature:.2f}; expected calibration error {self.before:.1%} before, "
            f"{self.after:.1%} after (validation, N={self.images})"
        )

    def to_json(self) -> dict[str, Any]:
        """For metrics files."""
        return {
            "temperature": self.temperature,
            "images": self.images,
            "expected_calibration_error_before": self.before,
            "expected_calibration_error_after": self.after,
        }


def calibrate(head: Head, features: Floats, truth: Bools) -> tuple[Head, Calibration]:
    """Fit a temperature and put it into the head, so that every export carries it.

    Temperature scaling divides all logits by one number, which changes no answer, only its score: C. Guo et al.,
    "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, section 4.2.

    Args:
        head: trained.
        features: of the validation share, float32 (images, features).
        truth: bool (images, classes); pictures of no class do not count with a single-label task.
    """
    if head.task == "single-label":
        known = truth.any(axis=1)
        features, truth = features[known], truth[known]
    scores = head.scores(features)
    before = expected_calibration_error(scores, truth, head.task)
    if len(truth) < LEAST_IMAGES:
        return head, Calibration(1.0, 0, before, before)
    temperature = _fit(head.logits(features), truth, head.task)
    scaled = head.scaled(1.0 / temperature)
    after = expected_calibration_error(scaled.scores(features), truth, head.task)
    return scaled, Calibration(temperature, len(truth), before, after)


def _fit(logits: Floats, truth: Bools, task: Task) -> float:
    """The temperature with the least cross-entropy, by golden-section search on its logarithm."""

    def loss(log_temperature: float) -> float:
        return cross_entropy(scores_of(logits * np.float32(np.exp(-log_temperature)), task), truth, task)

    low, high = np.log(_RANGE)
    ratio = (np.sqrt(5.0) - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def expected_calibration_error(scores: Floats, truth: Bools, task: Task = "single-label") -> float:
    """Mean distance between confidence and accuracy, 0..1, in 15 bins by confidence, weighted by their pictures.

    Args:
        scores: float32 (images, classes), 0..1.
        truth: bool (images, classes).
        task: with ``single-label`` the best score of each picture is looked at, with ``multi-label`` every score.
    """
    if not len(scores):
        return 0.0
    if task == "single-label":
        best = scores.argmax(axis=1)
        rows = np.arange(len(scores))
        confidence, right = scores[rows, best], truth[rows, best]
    else:
        confidence, right = scores.ravel(), truth.ravel()
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, confidence.astype(np.float64)) - np.bincount(bins, right.astype(np.float64))
    return float(np.abs(gaps).sum() / len(confidence))
