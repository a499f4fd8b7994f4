"""A network that computes as its int8 version would, with weights and ranges that can be trained.

Values are rounded forward and passed as they are backward: B. Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", https://arxiv.org/abs/1712.05877, section 3. What is
rounded to what is TFLite's scheme, https://ai.google.dev/edge/litert/models/quantization_spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.network_statistics import Range, TensorStatistics
from converters.quantization.rebuilt_network import RebuiltNetwork

Floats = NDArray[np.float32]

# Operators whose output has the scale of their input, by TFLite's specification.
_SAME_SCALE = frozenset(
    (
        "AVERAGE_POOL_2D",
        "EXPAND_DIMS",
        "MAX_POOL_2D",
        "MIRROR_PAD",
        "PAD",
        "PADV2",
        "RESHAPE",
        "SLICE",
        "SPLIT",
        "SQUEEZE",
        "STRIDED_SLICE",
        "TRANSPOSE",
    )
)
# Those whose scale and zero point are fixed by it, as ranges.
_FIXED: Mapping[str, Range] = {
    "LOGISTIC": (0.0, 255 / 256),
    "SOFTMAX": (0.0, 255 / 256),
    "TANH": (-1.0, 127 / 128),
}
# Ranges may double or halve: what an outlier takes from the steps of all other values is learned, not wild jumps.
_MOST_SHIFT = float(np.log(2.0))


@dataclass(frozen=True)
class Trained:
    """A variable that is trained.

    Attributes:
        variable: a ``tf.Variable``, float32.
        rate: how far one step of the optimiser may go at a learning rate of 1; broadcast to the variable's shape.
    """

    variable: Any
    rate: Any


class Student:
    """The network with rounded weights and activations.

    Args:
        network: in float.
        ranges: of its activations; those that have none stay float.
        statistics: of its tensors: they say how far a bias may move in a step.
    """

    def __init__(
        self, network: RebuiltNetwork, ranges: Mapping[int, Range], statistics: Mapping[int, TensorStatistics]
    ) -> None:
        import tensorflow as tf

        self.network = network
        self._ranges = {index: (min(low, 0.0), max(high, 0.0)) for index, (low, high) in ranges.items()}
        self._same_as, self._fixed, self._rounded = self._scales()
        self.trained: list[Trained] = []
        self._kernels: dict[int, tuple[Any, int]] = {}
        self._biases: dict[int, Any] = {}
        self._shifts: dict[int, Any] = {}
        self._bases: dict[int, Any] = {}
        for layer in network.layers:
            kernel = network.constants[layer.kernel]
            others = tuple(axis for axis in range(kernel.ndim) if axis != layer.axis)
            self._kernels[layer.kernel] = (self._variable(kernel, _size(np.abs(kernel), others)), layer.axis)
            if layer.bias is not None:
                spread = statistics[layer.output].spread
                self._biases[layer.bias] = self._variable(network.constants[layer.bias], _size(spread))
        for index in sorted(set(self._same_as.values())):
            if index not in self._fixed:
                self._bases[index] = tf.Variable(np.array(self._ranges[index], np.float32), trainable=False)
                self._shifts[index] = self._variable(np.zeros(2, np.float32), np.float32(1))
        self._operands = {index: tf.constant(value) for index, value in self._rounded_operands().items()}

    def forward(self, images: Any) -> dict[int, Any]:
        """As ``RebuiltNetwork.forward``, rounded.

        Args:
            images: normalised pictures of whole pixel values, float32 (batch, height, width, 3).
        """
        import tensorflow as tf

        weights = {index: _rounded_kernel(variable, axis) for index, (variable, axis) in self._kernels.items()}
        weights |= {index: tf.convert_to_tensor(variable) for index, variable in self._biases.items()}
        ends = {index: self._ends(index) for index in {*self._same_as.values()}}

        def after(index: int, value: Any) -> Any:
            if index not in self._rounded:
                return value
            low, high = ends[self._same_as[index]]
            return tf.quantization.fake_quant_with_min_max_vars(value, low, high, num_bits=8)

        return self.network.forward(images, {**weights, **self._operands}, after)

    def weights(self) -> dict[int, Floats]:
        """Kernels and biases as they are now, not rounded: tensor index -> values."""
        kernels = {index: variable.numpy() for index, (variable, _) in self._kernels.items()}
        return kernels | {index: variable.numpy() for index, variable in self._biases.items()}

    def ranges(self) -> dict[int, Range]:
        """The ranges as they are now: tensor index -> least and greatest value."""
        learned = dict(self._ranges)
        for index, root in self._same_as.items():
            if index in self._ranges:
                low, high = self._ends(root)
                learned[index] = (float(low), float(high))
        return learned

    def narrow(self, statistics: Mapping[int, TensorStatistics]) -> None:
        """Leave outliers out of the ranges where that makes the rounding of a tensor better."""
        for index, base in self._bases.items():
            base.assign(np.array(statistics[index].least_error_range(self._ranges[index]), np.float32))

    def state(self) -> list[Floats]:
        """All that changes, to be put back by ``restore``."""
        return [variable.numpy() for variable in self._all()]

    def restore(self, state: list[Floats]) -> None:
        """Put back what ``state`` gave."""
        for variable, value in zip(self._all(), state, strict=True):
            variable.assign(value)

    def _all(self) -> list[Any]:
        return [*(trained.variable for trained in self.trained), *self._bases.values()]

    def _variable(self, start: Floats, rate: Any) -> Any:
        import tensorflow as tf

        variable = tf.Variable(start, trainable=True, dtype=tf.float32)
        self.trained.append(Trained(variable, rate))
        return variable

    def _ends(self, index: int) -> tuple[Any, Any]:
        import tensorflow as tf

        if index in self._fixed:
            low, high = self._fixed[index]
            return tf.constant(low), tf.constant(high)
        factors = tf.exp(tf.clip_by_value(self._shifts[index], -_MOST_SHIFT, _MOST_SHIFT))
        ends = self._bases[index] * factors
        return ends[0], ends[1]

    def _scales(self) -> tuple[dict[int, int], dict[int, Range], set[int]]:
        """Tensor -> the one whose scale it has; tensors of fixed scale; tensors to round when they are made."""
        same: dict[int, int] = {}
        fixed: dict[int, Range] = {}
        rounded: set[int] = set()
        for step in self.network.steps:
            source = next((index for index in step.inputs if index in same), None)
            for index in step.outputs:
                # The input of the network is whole pixels, which int8 holds as they are.
                if step.name in _SAME_SCALE:
                    if source is not None:
                        same[index] = same[source]
                        rounded |= {index} if step.name == "AVERAGE_POOL_2D" else set()
                elif step.name in _FIXED and index in self._ranges:
                    same[index], fixed[index] = index, _FIXED[step.name]
                    rounded.add(index)
                elif index in self._ranges and self._ranges[index][1] > self._ranges[index][0]:
                    same[index] = index
                    rounded.add(index)
        # Scores are compared before their last rounding.
        return same, fixed, rounded - {self.network.output}

    def _rounded_operands(self) -> dict[int, Floats]:
        """Constants that are added, multiplied and so on: one scale for each."""
        kept = {*self._kernels, *self._biases}
        found: dict[int, Floats] = {}
        for step in self.network.steps:
            if step.name not in {"ADD", "SUB", "MUL", "CONCATENATION", "MAXIMUM", "MINIMUM"}:
                continue
            for index in step.inputs:
                value = self.network.constants.get(index)
                if value is None or value.dtype != np.float32 or index in kept:
                    continue
                low, high = min(float(value.min()), 0.0), max(float(value.max()), 0.0)
                scale = (high - low) / 255 or 1.0
                found[index] = (np.rint((value - low) / scale) * scale + low).astype(np.float32)
        return found


def _size(values: Floats, axes: tuple[int, ...] | None = None) -> Floats:
    """The mean of absolute values, or the values themselves; nothing is so small that it cannot move."""
    sizes = values if axes is None else values.mean(axis=axes, keepdims=True)
    return np.asarray(np.maximum(sizes, 1e-3 * sizes.mean() + 1e-12), np.float32)


def _rounded_kernel(kernel: Any, axis: int) -> Any:
    """Symmetric, -127..127 steps, one scale for each output channel."""
    import tensorflow as tf

    others = [place for place in range(len(kernel.shape)) if place != axis]
    scale = tf.maximum(tf.reduce_max(tf.abs(kernel), others, keepdims=True) / 127, 1e-12)
    scale = tf.stop_gradient(scale)
    return kernel + tf.stop_gradient(tf.round(kernel / scale) * scale - kernel)
