"""What every kind of model becomes: resized pixels in, scores out, and what the scores mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.inputs.frozen_part import FrozenPart
from runtime.errors import ModelError
from runtime.spec import ModelSpec, Preprocessing, Task

Floats = NDArray[np.float32]
#: Is told in one line what happens.
Notify = Callable[[str], None]

#: A dense layer, (1, 2) and (2,), that makes two scores of one between two classes: 1 - x and x. In integers it is as
#: fine as its input, which a constant that x is taken from is not.
BOTH_KERNEL, BOTH_BIAS = np.array([[-1.0, 1.0]], np.float32), np.array([1.0, 0.0], np.float32)


@dataclass(frozen=True)
class Network:
    """What gives a predictor's scores, for those who convert it.

    Attributes:
        raw: resized pixels, (height, width, 3), 0..255 -> the output as it is, (outputs,).
        outputs: numbers it gives for a picture: one for each label, or one between two.
        probability: whether these are probabilities; None where nothing tells.
        freeze: makes the computation without variables; None for a model that is not one of TensorFlow's.
        keras_model: the ``keras.Model``, where it is one.
    """

    raw: Callable[[NDArray[Any]], NDArray[Any]]
    outputs: int
    probability: bool | None
    freeze: Callable[[], FrozenPart] | None = None
    keras_model: Any = None


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
        network: what gives the scores; None where nobody will convert it.
        spec: what the model says about itself, where it is one of ours.
    """

    what: str
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    scores: Callable[[NDArray[Any]], Floats]
    task: Task = "single-label"
    least_scores: tuple[float, ...] = ()
    network: Network | None = None
    spec: ModelSpec | None = None


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
        known = look_like_probabilities(real)
    if not known:
        # One logit stands between two classes, as a sigmoid has it.
        exponentials = np.exp(real - max(real.max(), 0.0 if real.size == 1 else -np.inf))
        rest = np.exp(-max(real.max(), 0.0)) if real.size == 1 else 0.0
        real = exponentials / (exponentials.sum() + rest)
    return np.clip(real, 0.0, 1.0).astype(np.float32)


def look_like_probabilities(values: NDArray[Any]) -> bool:
    """Whether the numbers that a model gives, of any shape, can be probabilities; a little above 1 is rounding."""
    return bool(np.min(values) >= 0 and np.max(values) <= 1.001)


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
