"""Small networks with every construction that ours have, in float and int8, and ways to run them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import unpack_model
from runtime.preprocess import normalize
from runtime.spec import Preprocessing

SIZE, CLASSES = 24, 5


@dataclass(frozen=True)
class Net:
    """A Keras model, the same as two files, and pictures for it."""

    keras: Any
    float32: bytes
    int8: bytes
    pictures: NDArray[np.uint8]
    preprocessing: Preprocessing

    def real_scores(self) -> NDArray[np.float32]:
        """Of the Keras model."""
        return np.asarray(self.keras([normalize(self.pictures, self.preprocessing)], training=False))


def pixels(mean: float, std: float) -> Preprocessing:
    return Preprocessing(height=SIZE, width=SIZE, mean=(mean,) * 3, std=(std,) * 3)


def pictures(count: int) -> NDArray[np.uint8]:
    """Smooth coloured ramps: noise would average out in every network."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, SIZE)
    waves = rng.normal(0, 60, (2, count, 1, 1, 3)) * np.stack(np.meshgrid(ramp, ramp))[:, None, :, :, None]
    noise = rng.normal(0, 20, (count, SIZE, SIZE, 3))
    return (rng.uniform(40, 215, (count, 1, 1, 3)) + waves.sum(axis=0) + noise).clip(0, 255).astype(np.uint8)


def build(kind: str) -> Any:
    """A Keras model: ``residual`` (BatchNorm, ReLU6, depthwise, add), ``concat``, ``hard_swish`` or ``no_bias``."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)

    def conv(x: Any, filters: int, size: int = 3, strides: int = 1, use_bias: bool = False) -> Any:
        return layers.Conv2D(filters, size, strides, padding="same", use_bias=use_bias)(x)

    source = keras.Input((SIZE, SIZE, 3))
    if kind == "residual":
        x = layers.ReLU(6)(layers.BatchNormalization()(conv(source, 8, strides=2)))
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        y = layers.ReLU(6)(layers.BatchNormalization()(y))
        x = layers.Add()([x, layers.BatchNormalization()(conv(y, 8, 1))])
    elif kind == "concat":
        x = layers.ReLU()(conv(source, 8, strides=2, use_bias=True))
        left, right = conv(x, 6, 1, use_bias=True), layers.ReLU()(conv(x, 6, use_bias=True))
        x = layers.Concatenate()([left, right, layers.AveragePooling2D(3, 1, "same")(x)])
        x = conv(x, 8, 1, use_bias=True)
    elif kind == "hard_swish":
        x = layers.Activation("hard_silu")(conv(source, 8, strides=2, use_bias=True))
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = layers.Activation("hard_sigmoid")(conv(gate, 8, 1, use_bias=True))
        x = conv(layers.Multiply()([x, gate]), 8, 1, use_bias=True)
    else:
        x = layers.ReLU(6)(conv(source, 8, strides=2))
        x = layers.ReLU(6)(conv(x, 8))
        x = conv(layers.Concatenate()([x, conv(x, 8, 1)]), 8)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model([source], layers.Dense(CLASSES, activation="softmax")(x))
    rng = np.random.default_rng(2)
    for layer in model.layers:  # trained networks have other statistics than new ones
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma.shape),
                    rng.normal(0, 0.5, beta.shape),
                    rng.normal(0, 0.3, mean.shape),
                    rng.uniform(0.2, 1.0, variance.shape),
                ]
            )
    return model


def convert_int8(model: Any, images: NDArray[Any], preprocessing: Preprocessing) -> bytes:
    """A Keras model to int8, as a conversion does it before it corrects anything."""
    from converters.formats.tflite import convert_float32, quantize_int8
    from converters.ranges import measure_ranges

    float32 = convert_float32(model)
    return quantize_int8(float32, measure_ranges(float32, images, preprocessing))


def make(kind: str, mean: float = 127.5, std: float = 127.5) -> Net:
    from converters.formats.tflite import convert_float32

    model, images, preprocessing = build(kind), pictures(60), pixels(mean, std)
    return Net(model, convert_float32(model), convert_int8(model, images, preprocessing), images, preprocessing)


def interpreter(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    loaded = Interpreter(model_content=model, num_threads=1)
    loaded.allocate_tensors()
    return loaded


def scores(model: bytes, images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Real scores of the pictures; raw bytes go into a quantised model."""
    loaded = interpreter(model)
    source, target = loaded.get_input_details()[0], loaded.get_output_details()[0]
    answers = []
    for image in images:
        tensor = image if source["dtype"] == np.uint8 else normalize(image, preprocessing)
        loaded.set_tensor(source["index"], tensor[None])
        loaded.invoke()
        answers.append(loaded.get_tensor(target["index"])[0])
    scale, zero_point = target["quantization"]
    stacked = np.stack(answers).astype(np.float32)
    return (stacked - zero_point) * np.float32(scale) if scale else stacked


def float_tensors(model: bytes) -> list[str]:
    """Names of the tensors that are no integers."""
    whole = {2, 3, 9, 4}  # INT32, UINT8, INT8, INT64 of the schema's TensorType
    return [t.name.decode() for t in unpack_model(model).subgraphs[0].tensors if t.type not in whole]


def make_wide() -> Net:
    """A float network with large kernels of all three kinds, and one small one; no int8 file."""
    import keras

    from converters.formats.tflite import convert_float32

    layers = keras.layers
    keras.utils.set_random_seed(3)
    source = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, 2, padding="same", activation="relu6")(source)
    x = layers.Conv2D(128, 3, padding="same", activation="relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(256, 1, activation="relu6")(x))
    model = keras.Model([source], layers.Dense(CLASSES, activation="softmax")(x))
    rng = np.random.default_rng(4)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 8, rng.normal(0, 0.3, bias.shape)])
    return Net(model, convert_float32(model), b"", pictures(20), pixels(127.5, 127.5))


def tensorflow_converter(model: Any) -> Any:
    """TensorFlow's own, to compare with."""
    import tensorflow as tf

    shape = (1, *model.inputs[0].shape[1:])
    traced = tf.function(lambda image: model([image]), input_signature=[tf.TensorSpec(shape, tf.float32)])
    return tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
