"""Builds a layered backbone in Keras, with the layer names of Keras Applications."""

from __future__ import annotations

from typing import Any

from toolkit.backbones.layers import BATCH_NORM_EPSILON, ConvLayer
from toolkit.backbones.tflite_graph import Weights


def build_backbone(layers: tuple[ConvLayer, ...], weights: Weights, input_size: int) -> Any:
    """A functional ``keras.Model``: float32 (batch, size, size, 3) -> float32 (batch, channels).

    Args:
        layers: as ``layers_of`` gives them.
        weights: as for ``write_backbone``.
        input_size: height and width in pixels.
    """
    import keras

    image = keras.Input((input_size, input_size, 3), name="image")
    tensor = image
    outputs: dict[str, Any] = {}
    for layer in layers:
        tensor = _convolution(layer)(tensor)
        tensor = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, name=layer.batch_norm)(tensor)
        if layer.relu6:
            tensor = keras.layers.ReLU(6.0, name=f"{layer.name}_relu")(tensor)
        if layer.adds is not None:
            tensor = keras.layers.Add(name=f"{layer.name}_add")([outputs[layer.adds], tensor])
        outputs[layer.name] = tensor
    features = keras.layers.GlobalAveragePooling2D(name="features")(tensor)
    model = keras.Model(image, features)
    for layer in layers:
        model.get_layer(layer.name).set_weights([weights[f"{layer.name}/kernel"]])
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        model.get_layer(layer.batch_norm).set_weights([weights[f"{layer.batch_norm}/{p}"] for p in parts])
    return model


def _convolution(layer: ConvLayer) -> Any:
    import keras

    common = {"strides": layer.stride, "padding": "same", "use_bias": False, "name": layer.name}
    if layer.depthwise:
        return keras.layers.DepthwiseConv2D(layer.kernel, **common)
    return keras.layers.Conv2D(layer.filters, layer.kernel, **common)
