"""Trains a head on cached features: by the optimum's penalty, or by steps as retrain.py did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.spec import Task
from toolkit.head import (
    Bools,
    Floats,
    Head,
    HeadOptions,
    Layer,
    cross_entropy,
    image_weights,
    scores_of,
    soft_targets,
)

#: L2 penalties that are tried; the one with the least validation cross-entropy is kept.
PENALTIES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
#: Passes over the training features for each penalty.
EPOCHS = 60
# Of Adam, and of a step of it.
_RATE, _BATCH = 0.01, 64
#: What retrain.py trains with: plain gradient descent.
RETRAIN_RATE, RETRAIN_BATCH = 0.01, 100


@dataclass(frozen=True)
class HeadData:
    """Features with what is true of them.

    Attributes:
        features: float32 (rows, features); a picture has a row for each of its views.
        truth: bool (rows, classes).
    """

    features: Floats
    truth: Bools

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Step:
    """How a training by steps stands.

    Attributes:
        number: of batches so far.
        head: as it is now.
        batch: what the last step trained on.
    """

    number: int
    head: Head
    batch: HeadData


def fit_head(
    training: HeadData,
    validation: HeadData,
    task: Task,
    options: HeadOptions,
    on_epoch: Callable[[], object] = lambda: None,
    on_step: Callable[[Step], object] | None = None,
    start: Head | None = None,
) -> Head:
    """Train a head.

    Args:
        training: rows to learn from.
        validation: rows to choose the penalty by; none takes the training rows.
        task: of the model.
        options: how.
        on_epoch: called ``EPOCHS * len(PENALTIES)`` times; not when training by steps.
        on_step: called after each step, when training by steps.
        start: what a training by steps begins with; the optimum that is looked for without steps does not depend on
            where one begins.

    Returns:
        The head, for features as they were given. One seed gives one head on one machine.
    """
    if options.steps is not None:
        weights = image_weights(training.truth, task, options.class_weights)
        targets = soft_targets(training.truth, task, options.label_smoothing)
        return _by_steps(training, targets, weights, task, options, on_step or (lambda _step: None), start)
    heads = [fit_one(training, task, penalty, options, on_epoch) for penalty in PENALTIES]
    judge = validation if len(validation) else training
    return min(heads, key=lambda head: cross_entropy(head.scores(judge.features), judge.truth, task))


def fit_one(
    training: HeadData,
    task: Task,
    penalty: float,
    options: HeadOptions,
    on_epoch: Callable[[], object] = lambda: None,
) -> Head:
    """Train with one penalty; arguments as for ``fit_head``."""
    # One scale for all features keeps their relative sizes, which carry meaning, and makes one learning rate
    # and one range of penalties serve every backbone. It goes into the first kernel at the end.
    scale = np.float32(1.0 / max(float(np.sqrt(np.mean(np.square(training.features)))), 1e-12))
    weights = image_weights(training.truth, task, options.class_weights)
    targets = soft_targets(training.truth, task, options.label_smoothing)
    layers = _adam(training.features * scale, targets, weights, task, penalty, options, on_epoch)
    layers[0] = Layer(layers[0].kernel * scale, layers[0].bias)
    return Head(tuple(layers), task, penalty)


def _initial(features: int, classes: int, hidden: int, seed: int) -> list[Layer]:
    """Zeros, which retrain.py's small random numbers come to; He-normal below a hidden layer's ReLU."""
    if not hidden:
        return [Layer(np.zeros((features, classes), np.float32), np.zeros(classes, np.float32))]
    random = np.random.default_rng(seed)
    first = random.normal(0, np.sqrt(2 / features), (features, hidden)).astype(np.float32)
    last = random.normal(0, np.sqrt(1 / hidden), (hidden, classes)).astype(np.float32)
    return [Layer(first, np.zeros(hidden, np.float32)), Layer(last, np.zeros(classes, np.float32))]


def _gradients(layers: list[Layer], x: Floats, targets: Floats, share: Floats, task: Task) -> list[Layer]:
    """Of the mean weighted cross-entropy of a batch."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ layer.kernel + layer.bias, np.float32(0)))
    logits = inputs[-1] @ layers[-1].kernel + layers[-1].bias
    error = (scores_of(logits, task) - targets) * share[:, None] / np.float32(len(x))
    found: list[Layer] = []
    for layer, values in zip(reversed(layers), reversed(inputs), strict=True):
        found.insert(0, Layer(values.T @ error, error.sum(axis=0)))
        error = (error @ layer.kernel.T) * (values > 0)
    return found


def _adam(
    features: Floats,
    targets: Floats,
    weights: Floats,
    task: Task,
    penalty: float,
    options: HeadOptions,
    on_epoch: Callable[[], object],
) -> list[Layer]:
    """Minimise cross-entropy + penalty / 2 * |kernels|^2 with Adam (https://arxiv.org/abs/1412.6980)."""
    layers = _initial(features.shape[1], targets.shape[1], options.hidden, options.seed)
    parameters = [array for layer in layers for array in (layer.kernel, layer.bias)]
    first, second = ([np.zeros_like(array) for array in parameters] for _ in range(2))
    random = np.random.default_rng(options.seed)
    steps = max(1, -(-len(features) // _BATCH))
    step = 0
    for _ in range(EPOCHS):
        for batch in np.array_split(random.permutation(len(features)), steps):
            step += 1
            slopes = _gradients(layers, features[batch], targets[batch], weights[batch], task)
            gradients = [
                a
                for s, layer in zip(slopes, layers, strict=True)
                for a in (s.kernel + np.float32(penalty) * layer.kernel, s.bias)
            ]
            rate = _RATE * 0.5 * (1 + np.cos(np.pi * step / (steps * EPOCHS)))
            rate *= np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            for value, gradient, m, v in zip(parameters, gradients, first, second, strict=True):
                m += np.float32(0.1) * (gradient - m)
                v += np.float32(0.001) * (gradient * gradient - v)
                value -= np.float32(rate) * m / (np.sqrt(v) + np.float32(1e-8))
        on_epoch()
    return layers


def _by_steps(
    data: HeadData,
    targets: Floats,
    weights: Floats,
    task: Task,
    options: HeadOptions,
    on_step: Callable[[Step], object],
    start: Head | None,
) -> Head:
    """Gradient descent on random batches, the features as they are, no penalty: what retrain.py does."""
    rate = np.float32(RETRAIN_RATE if options.learning_rate is None else options.learning_rate)
    size = min(len(data), RETRAIN_BATCH if options.batch_size is None else options.batch_size)
    layers = _initial(data.features.shape[1], targets.shape[1], options.hidden, options.seed)
    if start is not None:
        layers = [Layer(layer.kernel.copy(), layer.bias.copy()) for layer in start.layers]
    random = np.random.default_rng(options.seed)
    for number in range(1, (options.steps or 0) + 1):
        batch = random.choice(len(data), size, replace=False)
        slopes = _gradients(layers, data.features[batch], targets[batch], weights[batch], task)
        for layer, slope in zip(layers, slopes, strict=True):
            layer.kernel[:] -= rate * slope.kernel
            layer.bias[:] -= rate * slope.bias
        on_step(Step(number, Head(tuple(layers), task), HeadData(data.features[batch], data.truth[batch])))
    return Head(tuple(layers), task)
