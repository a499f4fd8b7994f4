"""The classifier on top of the backbone: dense layers, and what they are trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UsageError
from runtime.spec import Task

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

ClassWeights = Literal["auto", "none"]

#: Largest class over smallest from which on the classes are balanced.
IMBALANCE = 2.0


@dataclass(frozen=True)
class Layer:
    """A dense layer: ``inputs @ kernel + bias``.

    Attributes:
        kernel: float32 (inputs, outputs).
        bias: float32 (outputs,).
    """

    kernel: Floats
    bias: Floats


@dataclass(frozen=True)
class Head:
    """Dense layers with ReLU between them; a softmax at the end, or a sigmoid for each class.

    Attributes:
        layers: the first takes the features, the last gives one logit a class.
        task: ``single-label`` ends in a softmax, ``multi-label`` in sigmoids.
        penalty: the L2 penalty it was trained with.
    """

    layers: tuple[Layer, ...]
    task: Task = "single-label"
    penalty: float = 0.0

    @property
    def classes(self) -> int:
        """Number of scores."""
        return len(self.layers[-1].bias)

    @property
    def activation(self) -> str:
        """Keras's name of the last layer's function."""
        return "softmax" if self.task == "single-label" else "sigmoid"

    def logits(self, features: Floats) -> Floats:
        """float32 (images, classes) of features, float32 (images, features)."""
        values = features
        for layer in self.layers[:-1]:
            values = np.maximum(values @ layer.kernel + layer.bias, np.float32(0))
        last = self.layers[-1]
        result: Floats = values @ last.kernel + last.bias
        return result

    def scores(self, features: Floats) -> Floats:
        """float32 (images, classes), 0..1; rows add up to 1 with a single-label task."""
        return scores_of(self.logits(features), self.task)

    def scaled(self, factor: float) -> Head:
        """The head whose logits are ``factor`` times as large: the same order of the classes, other scores."""
        last = self.layers[-1]
        scaled = Layer(last.kernel * np.float32(factor), last.bias * np.float32(factor))
        return replace(self, layers=(*self.layers[:-1], scaled))


def scores_of(logits: Floats, task: Task) -> Floats:
    """Softmax, or a sigmoid for each class; float32 (images, classes)."""
    if task == "multi-label":
        sigmoid: Floats = np.float32(1) / (np.float32(1) + np.exp(-np.clip(logits, -80, 80)))
        return sigmoid
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def cross_entropy(scores: Floats, truth: Bools, task: Task, weights: Floats | None = None) -> float:
    """Mean of -log(score of what is true), in nats; with several labels the sum over all of them.

    Args:
        scores: float32 (images, classes), 0..1.
        truth: bool (images, classes).
        task: of the scores.
        weights: of the images, float32 (images,); None counts all alike.
    """
    if not len(scores):
        return float("nan")
    right = np.log(np.maximum(scores, 1e-12)) * truth
    if task == "multi-label":
        right += np.log(np.maximum(1 - scores, 1e-7)) * ~truth
    return float(np.average(-right.sum(axis=1), weights=weights))


@dataclass(frozen=True)
class HeadOptions:
    """How the head is trained.

    Attributes:
        hidden: neurons of a hidden layer; 0 for none.
        class_weights: ``auto`` lets every class count the same where the largest has ``IMBALANCE`` times as many
            training images as the smallest, or more; ``none`` lets every image count the same.
        label_smoothing: share of the target that is spread over all classes, 0 to below 1
            (https://arxiv.org/abs/1512.00567, section 7).
        steps: batches to train on, as retrain.py did; None trains until the optimum, and chooses the penalty.
        learning_rate: of training by steps; None takes retrain.py's.
        batch_size: pictures in a step; None takes retrain.py's.
        seed: of the order of the images.
    """

    hidden: int = 0
    class_weights: ClassWeights = "auto"
    label_smoothing: float = 0.0
    steps: int | None = None
    learning_rate: float | None = None
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be 0 or more and less than 1, not {self.label_smoothing:g}")
        if not 0 <= self.hidden <= 65536:
            raise UsageError(f"--hidden must be 0 (no hidden layer) to 65536 neurons, not {self.hidden}")


def soft_targets(truth: Bools, task: Task, smoothing: float = 0.0) -> Floats:
    """What the scores are trained towards, float32 (images, classes).

    A single-label picture of no class is trained towards equal scores for all classes: D. Hendrycks et al., "Deep
    Anomaly Detection with Outlier Exposure", https://arxiv.org/abs/1812.04606.

    Args:
        truth: bool (images, classes).
        task: of the model.
        smoothing: share of each target that is spread: over all classes, or over yes and no of each label.
    """
    targets = truth.astype(np.float32)
    if task == "single-label":
        targets[~truth.any(axis=1)] = 1 / np.float32(truth.shape[1])
    return smoothed(targets, smoothing, task)


def smoothed(targets: Floats, smoothing: float, task: Task) -> Floats:
    """Targets of which a share is spread: over all classes, or over yes and no of each label."""
    even = 0.5 if task == "multi-label" else 1.0 / targets.shape[1]
    spread: Floats = targets * np.float32(1 - smoothing) + np.float32(smoothing * even)
    return spread


def class_weights(truth: Bools, choice: ClassWeights) -> Floats | None:
    """How much a picture of each class counts in training, float32 (classes,); None where all count the same.

    Args:
        truth: of the training images, bool (images, classes).
        choice: see ``HeadOptions.class_weights``.
    """
    counts = truth.sum(axis=0)
    if choice == "none" or counts.max() < IMBALANCE * counts.min():
        return None
    weights: Floats = (counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
    return weights


def image_weights(truth: Bools, task: Task, choice: ClassWeights) -> Floats:
    """How much each image counts in training, float32 (images,), on average 1.

    Args:
        truth: of the training images, bool (images, classes).
        task: of the model; with ``multi-label`` an image counts as much as its rarest label.
        choice: see ``HeadOptions.class_weights``.
    """
    even = np.ones(len(truth), np.float32)
    rare = class_weights(truth, choice)
    if rare is None:
        return even
    weights = np.where(truth.any(axis=1), (truth * rare).max(axis=1), even)
    result: Floats = (weights / weights.mean()).astype(np.float32)
    return result
