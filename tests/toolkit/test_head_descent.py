"""Step by step: gradient descent as in retrain.py, and the head with a hidden layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.toolkit.test_head_training import make_examples
from toolkit.head_descent import HiddenOptions, _gradients, _loss, descend, fit_hidden
from toolkit.head_training import Examples, losses_and_scores


def test_one_step_of_descent_is_the_gradient() -> None:
    """From zero every class has 1/3, so the step is known."""
    examples = replace(make_examples(rows=3), weights=np.array([0, 1, 0], np.float32))
    kernel, bias = descend(examples, "single-label", steps=1, batch_size=4, learning_rate=0.3)
    error = np.full(3, 1 / 3) - examples.targets[1]
    np.testing.assert_allclose(bias, -0.3 * error, rtol=1e-5)
    np.testing.assert_allclose(kernel, -0.3 * np.outer(examples.features[1], error), rtol=1e-5)


def test_descent_learns_and_tells_each_step() -> None:
    examples = make_examples(noise=0.5)
    told = []
    kernel, bias = descend(examples, "single-label", 200, 50, 0.01, on_step=lambda step, k, b: told.append(step))
    assert told == list(range(1, 201))
    assert ((examples.features @ kernel + bias).argmax(1) == examples.targets.argmax(1)).mean() > 0.97
    again, _ = descend(examples, "single-label", 200, 50, 0.01)
    assert again.tobytes() == kernel.tobytes()


def test_the_hidden_gradient_is_that_of_the_loss() -> None:
    examples = make_examples(rows=20, features=8)
    random = np.random.default_rng(0)
    shapes = [(8, 6), (6,), (6, 3), (3,)]
    layers = [random.normal(0, 0.3, shape) for shape in shapes]  # float64: differences of 1e-6 are seen
    options = HiddenOptions(dropout=0.0, mixup=0.0)
    gradients = _gradients(layers, examples.features, examples, np.arange(20), "single-label", options, random)
    for part, gradient in zip(layers, gradients, strict=True):
        for index in list(np.ndindex(part.shape))[::5]:
            kept = part[index]
            values = []
            for step in (1e-6, -1e-6):
                part[index] = kept + step
                values.append(_loss(layers, examples.features, examples, "single-label"))
            part[index] = kept
            assert abs((values[0] - values[1]) / 2e-6 - gradient[index]) < 1e-3 * max(1, abs(gradient[index]))


def _ring(rows: int, seed: int) -> Examples:
    """Inside or outside of a circle: no straight line parts them."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(rows, 2)).astype(np.float32)
    class_ids = (np.linalg.norm(points, axis=1) > 1.18).astype(int)
    return Examples(
        points * 3 + 7, np.eye(2, dtype=np.float32)[class_ids], np.ones(rows, np.float32), np.arange(rows),
        np.ones(rows, np.bool_),
    )  # fmt: skip


def test_a_hidden_layer_learns_what_no_linear_head_can() -> None:
    training, validation, test = _ring(400, 0), _ring(200, 1), _ring(400, 2)
    losses: list[float] = []
    options = HiddenOptions(units=64, epochs=60, learning_rate=1e-2, dropout=0.1, mixup=0.0, decay=0.0)
    first, last = fit_hidden(training, validation, options=options, on_epoch=lambda epoch, loss: losses.append(loss))
    logits = np.maximum(test.features @ first[0] + first[1], 0) @ last[0] + last[1]
    assert (logits.argmax(1) == test.targets.argmax(1)).mean() > 0.9
    # The epoch with the least validation loss is kept.
    kept = np.maximum(validation.features @ first[0] + first[1], 0) @ last[0] + last[1]
    loss = losses_and_scores(kept, validation.targets, "single-label")[0].mean()
    assert abs(loss - min(losses)) < 1e-3


def test_training_without_gain_stops() -> None:
    training = make_examples(rows=60, features=100, noise=1.0)
    lot = np.eye(3, dtype=np.float32)[np.random.default_rng(3).integers(3, size=60)]
    epochs: list[int] = []
    fit_hidden(
        training, replace(training, targets=lot), options=HiddenOptions(epochs=50, patience=3, dropout=0, mixup=0),
        on_epoch=lambda epoch, loss: epochs.append(epoch),
    )  # fmt: skip
    assert 4 <= len(epochs) < 50
