"""Backbone and head as one model under training: its step, its average, its state as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.training.net import Floats, Net, open_blocks
from toolkit.training.options import FinetuneOptions

#: Kernel (inputs, outputs) and bias (outputs,) of each layer of a head; all but the last are followed by ReLU.
HeadLayers = tuple[tuple[Floats, Floats], ...]

# AdamW's usual constants, https://arxiv.org/abs/1412.6980 section 2.
_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class _Trained:
    """A variable that is trained, with the optimiser's memory and the average of its values."""

    name: str
    variable: Any
    rate: float
    decays: bool
    first: Any
    second: Any


class TrainedModel:
    """A backbone with its head, and everything a step changes.

    Args:
        net: the backbone.
        head: layers to begin with.
        task: decides the loss.
        options: of the training.
        unfreeze: which blocks: ``options.unfreeze``, or what ``auto`` stands for.
    """

    def __init__(self, net: Net, head: HeadLayers, task: Task, options: FinetuneOptions, unfreeze: str) -> None:
        import tensorflow as tf

        self._net, self._task, self._options = net, task, options
        self._head = [tuple(tf.Variable(array, dtype=tf.float32) for array in layer) for layer in head]
        self.open = open_blocks(net.blocks, unfreeze)
        self._trained: list[_Trained] = []
        for parameter in net.parameters:
            if parameter.block in self.open:
                rate = options.layer_decay ** (len(net.blocks) - net.blocks.index(parameter.block))
                self._add(parameter.name, parameter.variable, rate, parameter.decays)
        for place, (kernel, bias) in enumerate(self._head):
            self._add(f"head{place}/kernel", kernel, 1.0, True)
            self._add(f"head{place}/bias", bias, 1.0, False)
        # Where normalisations move their statistics, those are averaged with the weights they belong to.
        moving = net.statistics if options.batch_norm == "batch" else {}
        self._live = {t.name: t.variable for t in self._trained} | moving
        self._average = {name: tf.Variable(v, trainable=False) for name, v in self._live.items()} if options.ema else {}
        self._step_function: Any = None
        self._forward_function: Any = None

    def _add(self, name: str, variable: Any, rate: float, decays: bool) -> None:
        import tensorflow as tf

        first, second = (tf.Variable(tf.zeros_like(variable), trainable=False) for _ in range(2))
        self._trained.append(_Trained(name, variable, rate, decays, first, second))

    def step(self, images: Floats, targets: Floats, weights: Floats, number: int, rate: float, mix: float) -> Any:
        """Learn from one batch.

        Args:
            images: normalised, float32 (batch, height, width, 3).
            targets: float32 (batch, classes).
            weights: float32 (batch,).
            number: of the step, from 1.
            rate: the learning rate now.
            mix: share of each picture that stays; the rest comes from another of the batch.

        Returns:
            The loss, a scalar tensor.
        """
        import tensorflow as tf

        if self._step_function is None:
            self._step_function = tf.function(self._traced_step, input_signature=self._signature(images, targets))
        scalars = (np.float32(number), np.float32(rate), np.float32(mix))
        return self._step_function(images, targets, weights, *scalars)

    def _signature(self, images: Floats, targets: Floats) -> list[Any]:
        import tensorflow as tf

        shapes = [[None, *images.shape[1:]], [None, targets.shape[1]], [None], [], [], []]
        return [tf.TensorSpec(shape, tf.float32) for shape in shapes]

    def _traced_step(self, images: Any, targets: Any, weights: Any, number: Any, rate: Any, mix: Any) -> Any:
        import tensorflow as tf

        if self._options.mixup:
            images = mix * images + (1 - mix) * tf.reverse(images, [0])
            targets = mix * targets + (1 - mix) * tf.reverse(targets, [0])
            weights = mix * weights + (1 - mix) * tf.reverse(weights, [0])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([trained.variable for trained in self._trained])
            features = self._net.features(images, self._options.batch_norm == "batch")
            logits = self._logits(self._dropped(features, number))
            loss = tf.reduce_mean(weights * self._loss(logits, targets))
        gradients = tape.gradient(loss, [trained.variable for trained in self._trained])
        for trained, gradient in zip(self._trained, gradients, strict=True):
            self._update(trained, gradient, number, rate)
        # The average leans on few steps at first, https://www.tensorflow.org/api_docs/python/tf/train/
        # ExponentialMovingAverage: num_updates.
        keep = tf.minimum(self._options.ema, (1 + number) / (10 + number))
        for name, average in self._average.items():
            average.assign_sub((1 - keep) * (average - self._live[name]))
        return loss

    def _dropped(self, features: Any, number: Any) -> Any:
        import tensorflow as tf

        if not self._options.dropout:
            return features
        seed = tf.stack([tf.cast(self._options.seed % 2**31, tf.int32), tf.cast(number, tf.int32)])
        return tf.nn.experimental.stateless_dropout(features, self._options.dropout, seed)

    def _logits(self, features: Any) -> Any:
        import tensorflow as tf

        for place, (kernel, bias) in enumerate(self._head):
            features = tf.matmul(features, kernel) + bias
            if place < len(self._head) - 1:
                features = tf.nn.relu(features)
        return features

    def _loss(self, logits: Any, targets: Any) -> Any:
        import tensorflow as tf

        if self._task == "multi-label":
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=1)
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

    def _update(self, trained: _Trained, gradient: Any, number: Any, rate: Any) -> None:
        import tensorflow as tf

        trained.first.assign_sub((1 - _FIRST) * (trained.first - gradient))
        trained.second.assign_sub((1 - _SECOND) * (trained.second - gradient * gradient))
        direction = (trained.first / (1 - _FIRST**number)) / (
            tf.sqrt(trained.second / (1 - _SECOND**number)) + _EPSILON
        )
        if trained.decays:
            direction += self._options.weight_decay * trained.variable
        trained.variable.assign_sub(rate * trained.rate * direction)

    def logits(self, images: Floats) -> Floats:
        """Answers of the weights as they stand, float32 (batch, classes)."""
        import tensorflow as tf

        if self._forward_function is None:
            signature = [tf.TensorSpec([None, *images.shape[1:]], tf.float32)]
            forward = lambda x: self._logits(self._net.features(x, False))  # noqa: E731
            self._forward_function = tf.function(forward, input_signature=signature)
        answers: Floats = self._forward_function(images).numpy()
        return answers

    def swap(self) -> None:
        """Exchange the weights with their average, where one is kept; a second call puts them back."""
        for name, average in self._average.items():
            live = self._live[name].numpy()
            self._live[name].assign(average)
            average.assign(live)

    def weights(self) -> tuple[dict[str, Floats], HeadLayers]:
        """All weights of the backbone and the head as they stand."""
        head = tuple((kernel.numpy(), bias.numpy()) for kernel, bias in self._head)
        return self._net.arrays(), head

    def trained_arrays(self) -> dict[str, Floats]:
        """What training has changed, as it stands: name -> array."""
        return {name: variable.numpy() for name, variable in self._live.items()}

    def assign_trained(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Put back what ``trained_arrays`` gave."""
        for name, variable in self._live.items():
            variable.assign(arrays[name])

    def state(self) -> dict[str, Floats]:
        """Everything a step changes, for a checkpoint."""
        return {name: variable.numpy() for name, variable in self._slots()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what ``state`` gave."""
        for name, variable in self._slots():
            variable.assign(state[name])

    def _slots(self) -> Sequence[tuple[str, Any]]:
        found = [(f"live/{name}", variable) for name, variable in self._live.items()]
        found += [(f"average/{name}", variable) for name, variable in self._average.items()]
        for trained in self._trained:
            found += [(f"first/{trained.name}", trained.first), (f"second/{trained.name}", trained.second)]
        return found
