"""Training of a rounded network to answer as the float one does; no labels are needed.

The answers are compared as G. Hinton et al. do in "Distilling the Knowledge in a Neural Network",
https://arxiv.org/abs/1503.02531, and some feature maps on the way to them as A. Romero et al. in "FitNets",
https://arxiv.org/abs/1412.6550.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.network_statistics import TensorStatistics
from converters.quantization.rebuilt_network import RebuiltNetwork
from converters.quantization.student import Student, Trained

# Adam's usual constants: https://arxiv.org/abs/1412.6980, section 2.
_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8
# Feature maps that are compared, spread over the network.
_MAPS = 8
# The error of a channel counts relative to what it holds, but not to less than this share of the median channel's.
_LEAST_SPREAD = 0.3


class Distillation:
    """One student under training.

    Args:
        network: in float: the teacher.
        student: of the same network.
        statistics: of the teacher's tensors.
    """

    def __init__(self, network: RebuiltNetwork, student: Student, statistics: Mapping[int, TensorStatistics]) -> None:
        import tensorflow as tf

        self._teacher, self._student = network, student
        self._last = next(step for step in network.steps if network.output in step.outputs)
        self._spreads = {index: _floored(statistics[index].spread) for index in self._compared()}
        self._optimizer = _Adam(student.trained)
        shape = [None, *network.shape(network.input)[1:]]
        signature = [tf.TensorSpec(shape, tf.float32)]
        scalars = [tf.TensorSpec([], tf.float32)] * 2
        self._step = tf.function(self._train, input_signature=[*signature, *scalars])
        self._answers = tf.function(self._divergence_of, input_signature=signature)

    def step(self, images: NDArray[np.float32], number: int, rate: float) -> float:
        """Learn from a batch.

        Args:
            images: normalised, (batch, height, width, 3).
            number: of the step, from 1.
            rate: the learning rate: a weight may move by so much of a typical weight of its channel.

        Returns:
            The divergence of the answers, nats a picture.
        """
        return float(self._step(images, np.float32(number), np.float32(rate)))

    def divergence(self, batches: Sequence[NDArray[np.float32]]) -> float:
        """How far the student's answers are from the teacher's, nats a picture."""
        sums = [float(self._answers(batch)) * len(batch) for batch in batches]
        return sum(sums) / max(1, sum(map(len, batches)))

    def _compared(self) -> list[int]:
        """Tensors whose maps are compared: outputs of layers, evenly chosen, and the last one's always."""
        outputs = [layer.output for layer in self._teacher.layers if layer.output != self._teacher.output]
        places = np.unique(np.linspace(0, len(outputs) - 1, min(_MAPS, len(outputs))).astype(int))
        return [outputs[place] for place in places]

    def _train(self, images: Any, number: Any, rate: Any) -> Any:
        import tensorflow as tf

        wanted = self._teacher.forward(images)
        variables = [trained.variable for trained in self._student.trained]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            got = self._student.forward(images)
            divergence = self._divergence(wanted, got)
            maps = [
                tf.reduce_mean(tf.square((got[index] - wanted[index]) / spread))
                for index, spread in self._spreads.items()
            ]
            loss = divergence + (tf.add_n(maps) / len(maps) if maps else 0.0)
        self._optimizer.apply(tape.gradient(loss, variables), number, rate)
        return divergence

    def _divergence_of(self, images: Any) -> Any:
        return self._divergence(self._teacher.forward(images), self._student.forward(images))

    def _divergence(self, wanted: Mapping[int, Any], got: Mapping[int, Any]) -> Any:
        """Mean over the pictures of a batch."""
        import tensorflow as tf

        before = self._last.inputs[0]
        if self._last.name == "SOFTMAX":
            beta = self._last.options.beta
            target, log_target = (f(wanted[before] * beta) for f in (tf.nn.softmax, tf.nn.log_softmax))
            each = target * (log_target - tf.nn.log_softmax(got[before] * beta))
        elif self._last.name == "LOGISTIC":
            target = tf.sigmoid(wanted[before])
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(target, wanted[before])
            each = tf.nn.sigmoid_cross_entropy_with_logits(target, got[before]) - entropy
        else:
            output = self._teacher.output
            each = tf.square(got[output] - wanted[output])
        return tf.reduce_sum(each) / tf.cast(tf.shape(each)[0], tf.float32)


def _floored(spread: NDArray[np.float32]) -> NDArray[np.float32]:
    positive = spread[spread > 0]
    least = _LEAST_SPREAD * float(np.median(positive)) if len(positive) else 1.0
    floored: NDArray[np.float32] = np.maximum(spread, np.float32(least))
    return floored


class _Adam:
    """The optimiser; each variable has a pace of its own."""

    def __init__(self, trained: Sequence[Trained]) -> None:
        import tensorflow as tf

        self._trained = trained
        self._memory = [
            tuple(tf.Variable(tf.zeros_like(t.variable), trainable=False) for _ in range(2)) for t in trained
        ]

    def apply(self, gradients: Sequence[Any], number: Any, rate: Any) -> None:
        """Change the variables; called while a graph is traced."""
        import tensorflow as tf

        for trained, gradient, (first, second) in zip(self._trained, gradients, self._memory, strict=True):
            if gradient is None:  # nothing that is compared depends on it
                continue
            first.assign(_FIRST * first + (1 - _FIRST) * gradient)
            second.assign(_SECOND * second + (1 - _SECOND) * gradient * gradient)
            direction = first / (1 - _FIRST**number) / (tf.sqrt(second / (1 - _SECOND**number)) + _EPSILON)
            trained.variable.assign_sub(rate * trained.rate * direction)
