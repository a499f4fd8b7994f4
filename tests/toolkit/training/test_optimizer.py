"""AdamW over one vector against Keras's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.tensorflow import import_tensorflow
from toolkit.training.optimizer import Optimizer, Trained


def run(optimizer: Optimizer, steps: Sequence[Sequence[Any]], first: int, rate: float = 0.01) -> None:
    tf = import_tensorflow()
    apply = tf.function(optimizer.apply)
    for number, gradients in enumerate(steps, first):
        apply([tf.constant(g) for g in gradients], tf.constant(float(number)), tf.constant(rate))


def variables(rates: tuple[float, float] = (1.0, 1.0), decays: tuple[float, float] = (0.0, 0.0)) -> list[Trained]:
    tf = import_tensorflow()
    random = np.random.default_rng(0)
    shapes = ((3, 4), (5,))
    arrays = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    return [Trained(f"v{n}", tf.Variable(a), rates[n], decays[n]) for n, a in enumerate(arrays)]


def gradients(count: int) -> list[list[Any]]:
    random = np.random.default_rng(1)
    return [[random.normal(size=s).astype(np.float32) for s in ((3, 4), (5,))] for _ in range(count)]


def test_it_is_adamw() -> None:
    import keras

    trained = variables(decays=(0.1, 0.1))
    theirs = [keras.Variable(t.variable.numpy()) for t in trained]
    keras_optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1, epsilon=1e-8)
    for step in gradients(5):
        keras_optimizer.apply(step, theirs)
    run(Optimizer(trained, 0.0), gradients(5), 1)
    for ours, expected in zip(trained, theirs, strict=True):
        np.testing.assert_allclose(ours.variable.numpy(), expected.numpy(), atol=1e-5)


def test_rates_and_decays_are_each_variables_own() -> None:
    trained = variables(rates=(1.0, 0.1), decays=(0.5, 0.0))
    before = [t.variable.numpy() for t in trained]
    run(Optimizer(trained, 0.0), [[np.zeros((3, 4), np.float32), np.ones(5, np.float32)]], 1)
    np.testing.assert_allclose(trained[0].variable.numpy(), before[0] * (1 - 0.01 * 0.5), rtol=1e-5)
    np.testing.assert_allclose(trained[1].variable.numpy(), before[1] - 0.001, rtol=1e-4)


def test_the_average_lags_and_a_second_swap_puts_the_weights_back() -> None:
    trained = variables()
    optimizer = Optimizer(trained, 0.9)
    average = trained[1].variable.numpy()
    for number, step in enumerate(gradients(20), 1):
        run(optimizer, [step], number)
        keep = min(0.9, (1 + number) / (10 + number))
        average = keep * average + (1 - keep) * trained[1].variable.numpy()
    live = [t.variable.numpy() for t in trained]
    optimizer.swap()
    np.testing.assert_allclose(trained[1].variable.numpy(), average, atol=1e-6)
    assert np.abs(average - live[1]).max() > 1e-3
    optimizer.swap()
    for t, value in zip(trained, live, strict=True):
        np.testing.assert_array_equal(t.variable.numpy(), value)


def test_no_average_is_the_weights_themselves() -> None:
    trained = variables()
    optimizer = Optimizer(trained, 0.0)
    run(optimizer, gradients(3), 1)
    live = trained[0].variable.numpy()
    optimizer.swap()
    np.testing.assert_allclose(trained[0].variable.numpy(), live, atol=1e-7)


def test_state_put_back_goes_on_as_if_nothing_had_been() -> None:
    whole = variables()
    run(Optimizer(whole, 0.9), gradients(6), 1)
    first = variables()
    optimizer = Optimizer(first, 0.9)
    run(optimizer, gradients(6)[:3], 1)
    state, values = optimizer.state(), [t.variable.numpy() for t in first]
    second = variables()
    resumed = Optimizer(second, 0.9)
    resumed.restore(state)
    for t, value in zip(second, values, strict=True):
        t.variable.assign(value)
    run(resumed, gradients(6)[3:], 4)
    for ours, expected in zip(second, whole, strict=True):
        np.testing.assert_allclose(ours.variable.numpy(), expected.variable.numpy(), rtol=1e-6)
