"""The classifier on top of the frozen backbone: a softmax layer, trained on cached features in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UsageError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: L2 penalties that are tried when none is given; the one with the least validation cross-entropy is kept.
PENALTIES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
#: Largest class over smallest from which on the classes are balanced.
IMBALANCE = 2.0

ClassWeights = Literal["auto", "none"]


@dataclass(frozen=True)
class Head:
    """``softmax(features @ kernel + bias)``.

    Attributes:
        kernel: float32 (features, classes).
        bias: float32 (classes,).
        penalty: the L2 penalty it was trained with.
    """

    kernel: Floats
    bias: Floats
    penalty: float

    def scores(self, features: Floats) -> Floats:
        """Class probabilities, float32 (images, classes), rows adding up to 1."""
        return _softmax(features @ self.kernel + self.bias)

    def scaled(self, factor: float) -> Head:
        """The head whose logits are ``factor`` times as large: the same answers, other scores."""
        return Head(self.kernel * np.float32(factor), self.bias * np.float32(factor), self.penalty)


@dataclass(frozen=True)
class HeadOptions:
    """How the head is trained.

    Attributes:
        epochs: passes over the training features, for each penalty.
        batch_size: images a step.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.
        penalties: L2 penalties to choose from.
        class_weights: ``auto`` lets every class count the same where the largest has ``IMBALANCE`` times as many
            training images as the smallest, or more; ``none`` lets every image count the same.
        label_smoothing: share of the target that is spread over all classes, 0 to below 1
            (https://arxiv.org/abs/1512.00567, section 7).
        seed: of the order of the images.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate: float = 0.01
    penalties: tuple[float, ...] = PENALTIES
    class_weights: ClassWeights = "auto"
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise UsageError(f"--label-smoothing must be 0 or more and less than 1, not {self.label_smoothing:g}")


def train_head(
    training: tuple[Floats, Ints],
    validation: tuple[Floats, Ints],
    classes: int,
    options: HeadOptions | None = None,
    on_epoch: Callable[[], object] = lambda: None,
) -> Head:
    """Train one head for each penalty and keep the one with the least validation cross-entropy.

    Args:
        training: features, float32 (images, features), and class ids, int64 (images,).
        validation: the same of the validation share.
        classes: number of classes.
        options: None takes the defaults.
        on_epoch: called after every epoch, ``epochs * len(penalties)`` times in all.

    Returns:
        The head, for features as they were given. One seed gives one head on one machine.
    """
    options = options or HeadOptions()
    # One scale for all features keeps their relative sizes, which carry meaning, and makes one learning rate
    # and one range of penalties serve every backbone. It goes into the kernel at the end.
    scale = np.float32(1.0 / max(float(np.sqrt(np.mean(np.square(training[0])))), 1e-12))
    weights = balance(training[1], classes, options.class_weights)
    scaled = (training[0] * scale, training[1])
    heads = []
    for penalty in options.penalties:
        kernel, bias = _fit(scaled, weights, penalty, options, on_epoch)
        heads.append(Head(kernel * scale, bias, penalty))
    features, class_ids = validation
    return min(heads, key=lambda head: cross_entropy(head.scores(features), class_ids, weights))


def balance(class_ids: Ints, classes: int, choice: ClassWeights) -> Floats:
    """Weight of an image of each class, float32 (classes,), on average 1 over the images.

    Args:
        class_ids: of the training images, int64 (images,); every class stands in it.
        classes: number of classes.
        choice: see ``HeadOptions.class_weights``.
    """
    counts = np.bincount(class_ids, minlength=classes)
    if choice == "none" or counts.max() < IMBALANCE * counts.min():
        return np.ones(classes, np.float32)
    weights: Floats = (len(class_ids) / (classes * np.maximum(counts, 1))).astype(np.float32)
    return weights


def _fit(
    data: tuple[Floats, Ints], weights: Floats, penalty: float, options: HeadOptions, on_epoch: Callable[[], object]
) -> tuple[Floats, Floats]:
    """Minimise cross-entropy + penalty / 2 * |kernel|^2 with Adam (https://arxiv.org/abs/1412.6980)."""
    classes, smoothing = len(weights), np.float32(options.label_smoothing)
    features, share = data[0], weights[data[1]][:, None]
    targets = np.eye(classes, dtype=np.float32)[data[1]] * (1 - smoothing) + smoothing / np.float32(classes)
    # The bias is a last row of the parameters, with a 1 behind every feature vector.
    features = np.concatenate([features, np.ones((len(features), 1), np.float32)], axis=1)
    parameters = np.zeros((features.shape[1], classes), np.float32)
    decay = np.full((len(parameters), 1), penalty, np.float32)
    decay[-1] = 0.0
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    random = np.random.default_rng(options.seed)
    steps = max(1, -(-len(features) // options.batch_size))
    step = 0
    for _ in range(options.epochs):
        for batch in np.array_split(random.permutation(len(features)), steps):
            step += 1
            x = features[batch]
            error = (_softmax(x @ parameters) - targets[batch]) * share[batch] / np.float32(len(batch))
            gradient = x.T @ error + decay * parameters
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient * gradient - second)
            rate = options.learning_rate * 0.5 * (1 + np.cos(np.pi * step / (steps * options.epochs)))
            rate *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parameters -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
        on_epoch()
    return parameters[:-1], parameters[-1]


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def cross_entropy(scores: Floats, class_ids: Ints, weights: Floats | None = None) -> float:
    """Mean of -log(score of the right class), in nats; each image counts as much as its class's weight."""
    right = scores[np.arange(len(class_ids)), class_ids]
    shares = None if weights is None else weights[class_ids]
    return float(np.average(-np.log(np.maximum(right, 1e-12)), weights=shares))
