"""From which score on each label of a multi-label model is an answer, chosen on the validation share."""

from __future__ import annotations

import numpy as np

from toolkit.head import Bools, Floats

#: Taken where the validation share has too few pictures with the label, or without it, to choose.
DEFAULT_THRESHOLD = 0.5
#: Pictures of either kind that are too few.
LEAST_PICTURES = 5
#: Thresholds lie between these. Scores of an int8 model go from 0 to 255/256 in steps of 1/256 (LiteRT's quantization
#: spec, LOGISTIC): it reaches nothing higher, and what it rounds to 0 must not hold.
LOWEST, HIGHEST = 0.5 / 256, 0.99


def choose_thresholds(scores: Floats, truth: Bools, labels: tuple[str, ...]) -> dict[str, float]:
    """The score with the best F1 for each label; between two scores, their mean; within ``LOWEST`` and ``HIGHEST``.

    Z. C. Lipton et al., "Thresholding Classifiers to Maximize F1 Score", https://arxiv.org/abs/1402.1892.

    Args:
        scores: of the validation share, float32 (pictures, classes).
        truth: bool (pictures, classes).
        labels: of the classes.
    """
    return {label: _best(scores[:, column], truth[:, column]) for column, label in enumerate(labels)}


def _best(scores: Floats, truth: Bools) -> float:
    positives = int(truth.sum())
    if positives < LEAST_PICTURES or len(truth) - positives < LEAST_PICTURES:
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + positives)
    # A threshold cannot part equal scores.
    f1[:-1][ordered[:-1] == ordered[1:]] = 0
    last = int(f1.argmax())
    below = ordered[last + 1] if last + 1 < len(ordered) else 0.0
    return round(min(max(float(ordered[last] + below) / 2, LOWEST), HIGHEST), 4)
