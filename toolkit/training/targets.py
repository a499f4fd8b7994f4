"""How well scores under training fit their targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.head_training import losses_and_scores

Floats = NDArray[np.float32]


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
    losses, _ = losses_and_scores(logits, targets, task)
    return float(losses.mean()) / (targets.shape[1] if task == "multi-label" else 1)


def hit_rate(logits: Floats, targets: Floats, task: Task) -> float:
    """Share of right answers, 0..1: top classes of the pictures that have one, or yes and no of every label."""
    if task == "multi-label":
        return float(((logits > 0) == (targets > 0.5)).mean()) if len(logits) else 0.0
    known = targets.max(axis=1, initial=0.0) > 0.5
    if not known.any():
        return 0.0
    return float((logits[known].argmax(axis=1) == targets[known].argmax(axis=1)).mean())
