"""Backbone and head as one model under training: its step, its average, its state as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.training.net import Floats, Net, open_blocks
from toolkit.training.optimizer import Optimizer, Trained
from toolkit.training.options import FinetuneOptions

# Nothing here branches on a tensor; to look for it takes a quarter of the time of tracing.
_AUTOGRAPH = False
#: Kernel (inputs, outputs) and bias (outputs,) of each layer of a head; all but the last are followed by ReLU.
HeadLayers = tuple[tuple[Floats, Floats], ...]


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
        self._trained: list[Trained] = []
        for parameter in net.parameters:
            if parameter.block in self.open:
                rate = options.layer_decay ** (len(net.blocks) - net.blocks.index(parameter.block))
                decay = options.weight_decay if parameter.decays else 0.0
                self._trained.append(Trained(parameter.name, parameter.variable, rate, decay))
        for place, (kernel, bias) in enumerate(self._head):
            self._trained.append(Trained(f"head{place}/kernel", kernel, 1.0, options.weight_decay))
            self._trained.append(Trained(f"head{place}/bias", bias, 1.0, 0.0))
        self._optimizer = Optimizer(self._trained, options.ema)
        # Where normalisations move their statistics, those are averaged with the weights they belong to.
        self._moving = net.statistics if options.batch_norm == "batch" else {}
        self._averages = {name: tf.Variable(v, trainable=False) for name, v in self._moving.items()}
        self._live = {t.name: t.variable for t in self._trained} | self._moving
        self._step_function: Any = None
        self._forward_function: Any = None

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
            signature = self._signature(images, targets)
            self._step_function = tf.function(self._traced_step, signature, autograph=_AUTOGRAPH)
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
        self._optimizer.apply(gradients, number, rate)
        for name, average in self._averages.items():
            average.assign_sub((1 - self._optimizer.keep(number)) * (average - self._moving[name]))
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

    def logits(self, images: Floats) -> Floats:
        """Answers of the weights as they stand, float32 (batch, classes)."""
        import tensorflow as tf

        if self._forward_function is None:
            signature = [tf.TensorSpec([None, *images.shape[1:]], tf.float32)]
            forward = lambda x: self._logits(self._net.features(x, False))  # noqa: E731
            self._forward_function = tf.function(forward, signature, autograph=_AUTOGRAPH)
        answers: Floats = self._forward_function(images).numpy()
        return answers

    def swap(self) -> None:
        """Exchange the weights with their average; a second call puts them back."""
        self._optimizer.swap()
        for name, average in self._averages.items():
            live = self._moving[name].numpy()
            self._moving[name].assign(average)
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
        live = {f"live/{name}": array for name, array in self.trained_arrays().items()}
        averages = {f"average/{name}": variable.numpy() for name, variable in self._averages.items()}
        return live | averages | {f"optimizer/{name}": array for name, array in self._optimizer.state().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what ``state`` gave."""
        self.assign_trained({name: state[f"live/{name}"] for name in self._live})
        for name, variable in self._averages.items():
            variable.assign(state[f"average/{name}"])
        prefix = "optimizer/"
        self._optimizer.restore({n.removeprefix(prefix): a for n, a in state.items() if n.startswith(prefix)})
