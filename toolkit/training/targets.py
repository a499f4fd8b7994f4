"""What is to be learned of each picture, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task

Floats = NDArray[np.float32]


def target_matrix(class_ids: Sequence[Sequence[int]], classes: int, task: Task) -> Floats:
    """Targets of pictures, float32 (pictures, classes).

    Args:
        class_ids: of each picture; none for a negative, which belongs to no class.
        classes: number of classes.
        task: single-label rows add up to 1, and a negative's is spread evenly, so that the model learns to be unsure
            of what it does not know (D. Hendrycks et al., https://arxiv.org/abs/1812.04606); multi-label rows have
            a 1 for each label.
    """
    targets = np.zeros((len(class_ids), classes), np.float32)
    for row, ids in zip(targets, class_ids, strict=True):
        row[list(ids)] = 1.0
        if not ids and task == "single-label":
            row[:] = 1.0 / classes
    return targets


def smoothed(targets: Floats, smoothing: float, task: Task) -> Floats:
    """Targets of which a share is spread: over all classes, or over yes and no."""
    even = 0.5 if task == "multi-label" else 1.0 / targets.shape[1]
    spread: Floats = targets * np.float32(1 - smoothing) + np.float32(smoothing * even)
    return spread


def temperature_loss(logits: Floats, targets: Floats, task: Task) -> float:
    """Mean cross-entropy in nats at the temperature that makes it least.

    The temperature is fitted after training anyway, and without it a model that grew surer would seem to have become
    worse while its answers became better.
    """
    if not len(logits):
        return 0.0
    # From 1/8 to 8 in steps of 10 %: a finer one changes the loss in the fourth digit.
    factors = np.exp(np.arange(-22, 23) * np.log(1.1))
    return min(cross_entropy(logits * np.float32(factor), targets, task) for factor in factors)


def cross_entropy(logits: Floats, targets: Floats, task: Task) -> float:
    """Mean over pictures (single-label) or over pictures and labels (multi-label), in nats."""
    if task == "multi-label":
        terms: NDArray[Any] = np.logaddexp(0.0, logits) - targets * logits
        return float(terms.mean())
    top = logits.max(axis=1, keepdims=True)
    log_scores = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    return float(-(targets * log_scores).sum(axis=1).mean())


def hit_rate(logits: Floats, targets: Floats, task: Task) -> float:
    """Share of right answers, 0..1: top classes of the pictures that have one, or yes and no of every label."""
    if task == "multi-label":
        return float(((logits > 0) == (targets > 0.5)).mean()) if len(logits) else 0.0
    known = targets.max(axis=1, initial=0.0) > 0.5
    if not known.any():
        return 0.0
    return float((logits[known].argmax(axis=1) == targets[known].argmax(axis=1)).mean())
