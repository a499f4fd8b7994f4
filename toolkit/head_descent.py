"""Trains heads step by step: plain gradient descent as retrain.py did it, and Adam for a head with a hidden layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from runtime.spec import Task
from toolkit.head_training import Examples, Floats, losses_and_scores

#: Kernel (inputs, outputs) and bias (outputs,), float32.
LayerArrays = tuple[Floats, Floats]


def descend(
    examples: Examples,
    task: Task,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int = 0,
    on_step: Callable[[int, Floats, Floats], object] = lambda step, kernel, bias: None,
    start: LayerArrays | None = None,
) -> LayerArrays:
    """Plain minibatch gradient descent, on the features as they are, without a penalty.

    Args:
        examples: of the training share. A row is drawn as often as its weight says, so weights of one over the
            class's size draw each class equally often, as retrain.py did.
        task: softmax or one sigmoid a class.
        steps: how many.
        batch_size: rows a step, drawn with replacement.
        learning_rate: constant.
        seed: of the draws.
        on_step: called after each step with its number from 1 on and the kernel and bias, which must be copied
            to be kept.
        start: kernel and bias to begin with; None takes zeros.

    Returns:
        Kernel float32 (features, classes) and bias float32 (classes,).
    """
    random = np.random.default_rng(seed)
    chances = np.cumsum(examples.weights, dtype=np.float64)
    kernel = np.zeros((examples.features.shape[1], examples.targets.shape[1]), np.float32)
    bias = np.zeros(kernel.shape[1], np.float32)
    if start is not None:
        kernel, bias = start[0].copy(), start[1].copy()
    for step in range(1, steps + 1):
        rows = np.searchsorted(chances, random.random(batch_size) * chances[-1], side="right")
        features, targets = examples.features[rows], examples.targets[rows]
        _, scores = losses_and_scores(features @ kernel + bias, targets, task)
        error = (scores - targets) * np.float32(learning_rate / batch_size)
        kernel -= features.T @ error
        bias -= error.sum(axis=0)
        on_step(step, kernel, bias)
    return kernel, bias


@dataclass(frozen=True)
class HiddenOptions:
    """How a head with a hidden layer is trained.

    Attributes:
        units: of the hidden layer.
        epochs: passes over the rows, at most.
        batch_size: rows a step.
        learning_rate: of Adam at the start; it falls to 0 along a cosine.
        decay: share of the kernels taken away a step, times the learning rate; https://arxiv.org/abs/1711.05101.
        dropout: share of the hidden units left out a row and step.
        mixup: ``alpha`` of the Beta distribution that blends two rows; 0 blends none.
            https://arxiv.org/abs/1710.09412 uses 0.1 to 0.4.
        patience: epochs without a better validation loss that end the training.
        seed: of everything that is drawn.
    """

    units: int = 128
    epochs: int = 40
    batch_size: int = 64
    learning_rate: float = 1e-3
    decay: float = 0.1
    dropout: float = 0.5
    mixup: float = 0.2
    patience: int = 10
    seed: int = 0


def fit_hidden(
    training: Examples,
    validation: Examples | None,
    task: Task = "single-label",
    options: HiddenOptions | None = None,
    on_epoch: Callable[[int, float], object] = lambda epoch, loss: None,
) -> tuple[LayerArrays, LayerArrays]:
    """Train ``relu(features @ k1 + b1) @ k2 + b2``.

    Args:
        training: rows to learn from.
        validation: its weighted loss chooses the epoch that is kept; None keeps the last.
        task: softmax or one sigmoid a class.
        options: None takes the defaults.
        on_epoch: called after each epoch with its number from 1 on and the validation loss (nan without one).

    Returns:
        Both layers, for features as they were given.
    """
    options = options or HiddenOptions()
    center = training.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    features = training.features - center
    scale = np.float32(1.0 / max(float(np.sqrt(np.mean(np.square(features)))), 1e-12))
    features *= scale
    random = np.random.default_rng(options.seed)
    layers = _first_layers(features.shape[1], options.units, training.targets.shape[1], random)
    adam = _Adam(layers, options, options.epochs * -(-len(features) // options.batch_size))
    best, least, waited = [part.copy() for part in layers], np.inf, 0
    for epoch in range(1, options.epochs + 1):
        for rows in np.array_split(random.permutation(len(features)), -(-len(features) // options.batch_size)):
            adam.step(_gradients(layers, features, training, rows, task, options, random))
        loss = float("nan")
        if validation is not None:
            loss = _loss(layers, (validation.features - center) * scale, validation, task)
        on_epoch(epoch, loss)
        waited = 0 if validation is None or loss < least else waited + 1
        if not waited:
            best, least = [part.copy() for part in layers], loss
        if waited >= options.patience:
            break
    kernel = best[0] * scale
    return (kernel, best[1] - center @ kernel), (best[2], best[3])


def _first_layers(features: int, units: int, classes: int, random: np.random.Generator) -> list[Floats]:
    """He's start for the layer before a ReLU (https://arxiv.org/abs/1502.01852), zeros for the last."""
    kernel = random.standard_normal((features, units), np.float32) * np.float32(np.sqrt(2 / features))
    return [kernel, np.zeros(units, np.float32), np.zeros((units, classes), np.float32), np.zeros(classes, np.float32)]


def _gradients(
    layers: list[Floats],
    features: Floats,
    examples: Examples,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
    task: Task,
    options: HiddenOptions,
    random: np.random.Generator,
) -> list[Floats]:
    x, targets, weights = features[rows], examples.targets[rows], examples.weights[rows]
    if options.mixup > 0:
        blend = np.float32(random.beta(options.mixup, options.mixup))
        partner = random.permutation(len(rows))
        x, targets, weights = (blend * a + (1 - blend) * a[partner] for a in (x, targets, weights))
    before = x @ layers[0] + layers[1]
    kept = (random.random(before.shape, np.float32) >= options.dropout) / np.float32(1 - options.dropout)
    kept = np.asarray(kept * (before > 0), np.float32)
    hidden = before * kept
    _, scores = losses_and_scores(hidden @ layers[2] + layers[3], targets, task)
    error = (scores - targets) * (weights / max(float(weights.sum()), 1e-12))[:, None]
    back = (error @ layers[2].T) * kept
    return [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def _loss(layers: list[Floats], features: Floats, examples: Examples, task: Task) -> float:
    logits = np.maximum(features @ layers[0] + layers[1], 0) @ layers[2] + layers[3]
    losses, _ = losses_and_scores(logits, examples.targets, task)
    return float(np.average(losses, weights=examples.weights))


class _Adam:
    """Adam (https://arxiv.org/abs/1412.6980) with decoupled decay of the kernels; changes the layers in place."""

    def __init__(self, layers: list[Floats], options: HiddenOptions, steps: int) -> None:
        self.layers, self.options, self.steps, self.done = layers, options, steps, 0
        self.first = [np.zeros_like(part) for part in layers]
        self.second = [np.zeros_like(part) for part in layers]

    def step(self, gradients: list[Floats]) -> None:
        self.done += 1
        rate = self.options.learning_rate * 0.5 * (1 + np.cos(np.pi * self.done / self.steps))
        corrected = np.float32(rate * np.sqrt(1 - 0.999**self.done) / (1 - 0.9**self.done))
        for part, gradient, first, second in zip(self.layers, gradients, self.first, self.second, strict=True):
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient * gradient - second)
            if part.ndim == 2:
                part *= np.float32(1 - rate * self.options.decay)
            part -= corrected * first / (np.sqrt(second) + np.float32(1e-8))
