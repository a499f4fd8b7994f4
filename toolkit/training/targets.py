"""How well scores under training fit their targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.head_training import losses_and_scores

Floats = NDArray[np.float32]


def temperature_loss(logits: Floats, targets: Floats, task: Task) -> float:
    """The mean of ``picture_losses``; 0 without pictures."""
    return float(picture_losses(logits, targets, task).mean()) if len(logits) else 0.0


def picture_losses(logits: Floats, targets: Floats, task: Task) -> Floats:
    """Cross-entropy of each picture in nats (multi-label: mean over labels), at the temperature that suits all best.

    The temperature is fitted after training anyway, and without it a model that grew surer would seem to have become
    worse while its answers became better.
    """
    if not len(logits):
        return np.zeros(0, np.float32)
    # From 1/8 to 8 in steps of 10 %: a finer one changes the loss in the fourth digit.
    factors = np.exp(np.arange(-22, 23) * np.log(1.1))
    return min((cross_entropies(logits * np.float32(factor), targets, task) for factor in factors), key=np.sum)


def cross_entropies(logits: Floats, targets: Floats, task: Task) -> Floats:
    """Of each picture, in nats; multi-label: its mean over labels."""
    losses, _ = losses_and_scores(logits, targets, task)
    each: Floats = losses / np.float32(targets.shape[1] if task == "multi-label" else 1)
    return each


def no_worse(losses: Floats, least: Floats) -> bool:
    """Whether these losses are within a standard error of the least ones, picture by picture.

    A few dozen pictures cannot tell epochs apart that are as near as that, and the later one has seen more: along a
    learning rate that falls to 0, with averaged weights, it is the better one more often than not.

    Args:
        losses: float32 (pictures,).
        least: the same; without pictures nothing is worse.
    """
    if not len(losses):
        return True
    change = losses.astype(np.float64) - least
    return bool(change.mean() <= change.std() / np.sqrt(len(change)))


def hit_rate(logits: Floats, targets: Floats, task: Task) -> float:
    """Share of right answers, 0..1: top classes of the pictures that have one, or yes and no of every label."""
    if task == "multi-label":
        return float(((logits > 0) == (targets > 0.5)).mean()) if len(logits) else 0.0
    known = targets.max(axis=1, initial=0.0) > 0.5
    if not known.any():
        return 0.0
    return float((logits[known].argmax(axis=1) == targets[known].argmax(axis=1)).mean())
