"""Builds a layered backbone in Keras, with the layer names of Keras Applications."""

from __future__ import annotations

from typing import Any

from toolkit.backbones.layers import BATCH_NORM_EPSILON, ConvLayer
from toolkit.backbones.pooling import MAX_FACTOR, Pooling
from toolkit.backbones.tflite_graph import Weights


def build_backbone(layers: tuple[ConvLayer, ...], weights: Weights, input_size: int, pooling: Pooling = "avg") -> Any:
    """A functional ``keras.Model``: float32 (batch, size, size, 3) -> float32 (batch, features).

    Args:
        layers: as ``layers_of`` gives them.
        weights: as for ``write_backbone``.
        input_size: height and width in pixels.
        pooling: of the last map.
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
    model = keras.Model(image, pool(tensor, pooling))
    for layer in layers:
        model.get_layer(layer.name).set_weights([weights[f"{layer.name}/kernel"]])
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        model.get_layer(layer.batch_norm).set_weights([weights[f"{layer.batch_norm}/{p}"] for p in parts])
    return model


def pool(feature_map: Any, pooling: Pooling) -> Any:
    """The features of a Keras tensor (batch, height, width, channels), by layers that TFLite has operators for."""
    import keras

    if pooling == "avg":
        return keras.layers.GlobalAveragePooling2D(name="features")(feature_map)
    mean = keras.layers.GlobalAveragePooling2D(name="mean_pool")(feature_map)
    # Not a GlobalMaxPooling2D: REDUCE_MAX is slow on old runtimes, and the Edge TPU has none. Nor a Flatten: its shape
    # is fixed when converted, and so would be the number of pictures. The mean of one place is that place.
    size = int(feature_map.shape[1])
    largest = keras.layers.MaxPooling2D(size, strides=size, name="max_pool")(feature_map)
    flat = keras.layers.GlobalAveragePooling2D(name="max_flat")(largest)
    scaled = keras.layers.Rescaling(MAX_FACTOR, name="max_scale")(flat)
    return keras.layers.Concatenate(name="features")([mean, scaled])


def _convolution(layer: ConvLayer) -> Any:
    import keras

    common = {"strides": layer.stride, "padding": "same", "use_bias": False, "name": layer.name}
    if layer.depthwise:
        return keras.layers.DepthwiseConv2D(layer.kernel, **common)
    return keras.layers.Conv2D(layer.filters, layer.kernel, **common)
