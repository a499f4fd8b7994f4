"""AdamW and the average of the weights over one long vector: a hundred small arrays cost more in calls than in sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# AdamW's usual constants: https://arxiv.org/abs/1412.6980 section 2, https://arxiv.org/abs/1711.05101.
_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Trained:
    """A variable that is trained.

    Attributes:
        name: unique.
        variable: a ``tf.Variable``, float32.
        rate: factor on the learning rate.
        decay: weight decay, times the learning rate.
    """

    name: str
    variable: Any
    rate: float
    decay: float


class Optimizer:
    """The optimiser's memory, and the average of the weights it has made.

    Args:
        trained: what it changes.
        average: share of the average that a step leaves; 0 makes the average the weights themselves.
    """

    def __init__(self, trained: Sequence[Trained], average: float) -> None:
        import tensorflow as tf

        self._trained, self._keep = list(trained), average
        self._sizes = [int(np.prod(t.variable.shape)) for t in trained]
        start = np.concatenate([t.variable.numpy().ravel() for t in trained])

        def each(values: Sequence[float]) -> Any:
            return tf.Variable(np.repeat(np.asarray(values, np.float32), self._sizes), trainable=False)

        self._rates, self._decays = each([t.rate for t in trained]), each([t.decay for t in trained])
        self._first, self._second = (tf.Variable(np.zeros_like(start), trainable=False) for _ in range(2))
        self._average = tf.Variable(start, trainable=False)
        self._fused = tf.function(self._move, jit_compile=True, autograph=False)

    def apply(self, gradients: Sequence[Any], number: Any, rate: Any) -> None:
        """Change the variables; called while a graph is traced.

        Args:
            gradients: of each variable.
            number: of the step, from 1, float32 scalar.
            rate: the learning rate now, float32 scalar.
        """
        import tensorflow as tf

        flat = tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], 0)
        weights = tf.concat([tf.reshape(t.variable, [-1]) for t in self._trained], 0)
        memory = (self._first, self._second, self._average)
        moved = self._fused(weights, flat, self._rates, self._decays, *memory, number, rate)
        for variable, value in zip(memory, moved[1:], strict=True):
            variable.assign(value)
        for trained, value in zip(self._trained, tf.split(moved[0], self._sizes), strict=True):
            trained.variable.assign(tf.reshape(value, trained.variable.shape))

    def _move(
        self,
        weights: Any,
        gradient: Any,
        rates: Any,
        decays: Any,
        first: Any,
        second: Any,
        average: Any,
        number: Any,
        rate: Any,
    ) -> tuple[Any, ...]:
        import tensorflow as tf

        first = _FIRST * first + (1 - _FIRST) * gradient
        second = _SECOND * second + (1 - _SECOND) * gradient * gradient
        direction = first / (1 - _FIRST**number) / (tf.sqrt(second / (1 - _SECOND**number)) + _EPSILON)
        weights -= rate * rates * (direction + decays * weights)
        return weights, first, second, average + (1 - self.keep(number)) * (weights - average)

    def keep(self, number: Any) -> Any:
        """Share of the average that this step leaves; at first less, so that the beginning is soon forgotten.

        The formula is that of ``tf.train.ExponentialMovingAverage`` with ``num_updates``.
        """
        import tensorflow as tf

        return tf.minimum(self._keep, (1 + number) / (10 + number)) if self._keep else tf.constant(0.0)

    def swap(self) -> None:
        """Exchange the variables with their average."""
        average = self._average.numpy()
        self._average.assign(np.concatenate([t.variable.numpy().ravel() for t in self._trained]))
        for trained, value in zip(self._trained, np.split(average, np.cumsum(self._sizes)[:-1]), strict=True):
            trained.variable.assign(value.reshape(trained.variable.shape))

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The memory and the average, for a checkpoint."""
        return {name: variable.numpy() for name, variable in self._slots().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what ``state`` gave."""
        for name, variable in self._slots().items():
            variable.assign(state[name])

    def _slots(self) -> dict[str, Any]:
        return {"first": self._first, "second": self._second, "average": self._average}
