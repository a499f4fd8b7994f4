"""Which labels a row of scores stands for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task


def answers(scores: NDArray[np.float32], task: Task, least: Sequence[float]) -> NDArray[np.bool_]:
    """The labels that are answered.

    Args:
        scores: float32 (pictures, classes), 0..1.
        task: ``single-label`` answers the class with the best score, and the first of equals; ``multi-label`` every
            class whose score is high enough.
        least: for each class the score that is, 0..1; a single-label task does not look at it, so that an answer
            ``unknown`` counts as the best guess behind it.

    Returns:
        bool (pictures, classes).
    """
    if task == "multi-label":
        enough: NDArray[np.bool_] = scores >= np.asarray(least, np.float32)
        return enough
    found = np.zeros(scores.shape, np.bool_)
    if len(scores):
        found[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return found


def unanswered(scores: NDArray[np.float32], task: Task, least: Sequence[float]) -> NDArray[np.bool_]:
    """The pictures that the runtime answers ``unknown``, as ``runtime.answers.answered_labels`` does.

    Args:
        scores: float32 (pictures, classes), 0..1.
        task: ``single-label``: where the best class's score is too low; ``multi-label``: where every class's is.
        least: for each class the score that is high enough, 0..1; empty takes every score for that.

    Returns:
        bool (pictures,).
    """
    if not len(least):
        return np.zeros(len(scores), np.bool_)
    high = scores >= np.asarray(least, np.float64)
    if task == "single-label" and len(scores):
        high = high[np.arange(len(scores)), scores.argmax(axis=1)][:, None]
    answered: NDArray[np.bool_] = np.any(high, axis=1, keepdims=True)[:, 0]
    return ~answered
