"""MobileNet v1, v2 and EfficientNet-Lite under training, from their list of layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.quantization.convolutions import depthwise
from toolkit.backbones.layers import BATCH_NORM_EPSILON, ConvLayer
from toolkit.backbones.pooling import MAX_FACTOR, Pooling
from toolkit.training.net import Floats, Net, Parameter, Precision, block_of, blocks_of

# Share of the old running statistics that a batch leaves; 0.99 is Keras's, for schedules ten times as long.
_MOMENTUM = 0.95


class LayeredNet(Net):
    """The network as ``layers_of`` lists it.

    With frozen statistics a normalisation is a factor and an offset, which go into the kernel and the bias: no pass
    over the feature maps is spent on them, forward or backward, and gamma and beta are trained all the same.

    Args:
        layers: as ``layers_of`` gives them.
        weights: as for ``write_backbone``.
        precision: of the feature maps; weights, statistics and their gradients stay float32.
        pooling: of the last map.
    """

    def __init__(
        self,
        layers: tuple[ConvLayer, ...],
        weights: Mapping[str, Floats],
        precision: Precision,
        pooling: Pooling = "avg",
    ) -> None:
        import tensorflow as tf

        self._layers, self._pooling = layers, pooling
        self._dtype = tf.as_dtype(precision)
        self.blocks = blocks_of(layers)
        self.parameters, self.statistics = [], {}
        self._variables: dict[str, Any] = {}
        for layer in layers:
            for name in (f"{layer.name}/kernel", f"{layer.batch_norm}/gamma", f"{layer.batch_norm}/beta"):
                self._variables[name] = tf.Variable(weights[name], trainable=True, name=name.replace("/", "_"))
                decays = name.endswith("kernel")
                self.parameters.append(Parameter(name, self._variables[name], block_of(layer), decays))
            for name in (f"{layer.batch_norm}/moving_mean", f"{layer.batch_norm}/moving_variance"):
                self._variables[name] = tf.Variable(weights[name], trainable=False, name=name.replace("/", "_"))
                self.statistics[name] = self._variables[name]

    def features(self, images: Any, training: bool) -> Any:
        """See ``Net``."""
        import tensorflow as tf

        tensor = tf.cast(images, self._dtype)
        outputs: dict[str, Any] = {}
        for layer in self._layers:
            tensor = self._batch_norm(layer, tensor) if training else self._folded(layer, tensor)
            if layer.relu6:
                tensor = tf.nn.relu6(tensor)
            if layer.adds is not None:
                tensor += outputs[layer.adds]
            outputs[layer.name] = tensor
        last = tf.cast(tensor, tf.float32)
        mean = tf.reduce_mean(last, [1, 2])
        return mean if self._pooling == "avg" else tf.concat([mean, MAX_FACTOR * tf.reduce_max(last, [1, 2])], 1)

    def _folded(self, layer: ConvLayer, tensor: Any) -> Any:
        import tensorflow as tf

        gamma, beta, mean, variance = self._normalisation(layer)
        factor = gamma * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
        kernel = self._variables[f"{layer.name}/kernel"] * (factor[:, None] if layer.depthwise else factor)
        tensor = self._convolve(layer, tensor, kernel)
        return tf.nn.bias_add(tensor, tf.cast(beta - mean * factor, self._dtype))

    def _batch_norm(self, layer: ConvLayer, tensor: Any) -> Any:
        import tensorflow as tf

        gamma, beta, mean, variance = self._normalisation(layer)
        tensor = self._convolve(layer, tensor, self._variables[f"{layer.name}/kernel"])
        result, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tensor, scale=gamma, offset=beta, mean=[], variance=[], epsilon=BATCH_NORM_EPSILON, is_training=True
        )
        for moving, batch in ((mean, batch_mean), (variance, batch_variance)):
            moving.assign_sub((1 - _MOMENTUM) * (moving - batch))
        return result

    def _normalisation(self, layer: ConvLayer) -> tuple[Any, Any, Any, Any]:
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (self._variables[f"{layer.batch_norm}/{name}"] for name in names)
        return gamma, beta, mean, variance

    def _convolve(self, layer: ConvLayer, tensor: Any, kernel: Any) -> Any:
        import tensorflow as tf

        kernel = tf.cast(kernel, self._dtype)
        if layer.depthwise:
            return depthwise(tensor, kernel, layer.stride)
        return tf.nn.conv2d(tensor, kernel, layer.stride, "SAME")
