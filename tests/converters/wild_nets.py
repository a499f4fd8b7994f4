"""Networks whose int8 collapses: one channel dwarfs all others, and they share one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.bias_correction import correct_biases
from converters.formats.tflite import convert_float32, quantize_int8
from converters.ranges import measure_ranges
from runtime.preprocess import normalize
from tests.converters import small_nets
from tests.converters.small_nets import CLASSES, SIZE, Net

#: How many times the others the wild channel is.
WILD = 3000.0


def make_wild(gain: float = WILD) -> Net:
    """A network of plain and depthwise convolutions that tells its pictures apart, with one wild channel.

    What is multiplied by ``gain`` where it is made is divided by it where it is read: in float nothing changes.
    """
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(12, 3, 2, padding="same", activation="relu", name="made")(source)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="read")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(24, 1, activation="relu")(x))
    model = keras.Model([source], layers.Dense(CLASSES, activation="softmax")(x))
    images, preprocessing = small_nets.pictures(120), small_nets.pixels(127.5, 127.5)
    _spread_answers(model, images)
    made, read = (model.get_layer(name) for name in ("made", "read"))
    kernel, bias = made.get_weights()
    kernel[..., 0] *= gain
    made.set_weights([kernel, bias])
    kernel, bias = read.get_weights()
    kernel[:, :, 0] /= gain
    read.set_weights([kernel, bias])
    float32 = convert_float32(model)
    calibration = images[:40]
    int8 = quantize_int8(float32, measure_ranges(float32, calibration, preprocessing))
    return Net(model, float32, correct_biases(int8, float32, calibration, preprocessing), images, preprocessing)


def _spread_answers(model: Any, images: np.ndarray) -> None:
    """A last layer that gives each class to some of the pictures."""
    import keras

    body = keras.Model(model.inputs, model.layers[-2].output)
    features = np.asarray(body([normalize(images, small_nets.pixels(127.5, 127.5))], training=False))
    centred = features - features.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    kernel = (directions[:CLASSES] / spread[:CLASSES, None]).T * 4 * np.sqrt(len(images))
    model.layers[-1].set_weights([kernel, -features.mean(axis=0) @ kernel])
