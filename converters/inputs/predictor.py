"""What every kind of model becomes: resized pixels in, scores out, and what the scores mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.spec import Preprocessing, Task

Floats = NDArray[np.float32]
#: Is told in one line what happens.
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Predictor:
    """A model, ready to name pictures; for one thread at a time.

    Attributes:
        what: the model that is run, for people.
        preprocessing: how pictures become its input.
        labels: one for each score.
        scores: pixels (height, width, 3), 0..255, as ``preprocess.resize`` gives them -> float32 (classes,), 0..1.
        task: of the scores.
        least_scores: the score from which on each class is an answer, 0..1; empty means that every score is.
    """

    what: str
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    scores: Callable[[NDArray[Any]], Floats]
    task: Task = "single-label"
    least_scores: tuple[float, ...] = ()


def probabilities(values: NDArray[Any], known: bool | None, name: str) -> Floats:
    """A model's output as scores.

    Args:
        values: (classes,).
        known: whether they are probabilities already; None judges by the numbers.
        name: of the model, for an error.

    Raises:
        ModelError: the output holds infinities or NaN.
    """
    real = np.asarray(values, np.float64).reshape(-1)
    if not np.isfinite(real).all():
        raise ModelError(f"{name}: the model gives scores that are no numbers")
    if known is None:
        known = bool(real.min() >= 0 and real.max() <= 1.001)
    if not known:
        # One logit stands between two classes, as a sigmoid has it.
        exponentials = np.exp(real - max(real.max(), 0.0 if real.size == 1 else -np.inf))
        rest = np.exp(-max(real.max(), 0.0)) if real.size == 1 else 0.0
        real = exponentials / (exponentials.sum() + rest)
    return np.clip(real, 0.0, 1.0).astype(np.float32)


def for_labels(scores: Callable[[NDArray[Any]], Floats], labels: tuple[str, ...], count: int) -> Any:
    """A function that gives a score for each label, also for a model with one score between two classes.

    Args:
        scores: pixels -> float32 (count,).
        labels: of the classes.
        count: scores that the model gives.
    """
    if count == len(labels):
        return scores

    def both(pixels: NDArray[Any]) -> Floats:
        second = float(scores(pixels)[0])
        return np.array([1 - second, second], np.float32)

    return both
