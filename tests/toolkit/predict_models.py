"""Models for ``toolkit predict`` as people have them: each names the strongest colour of a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from converters.tensorflow import import_tensorflow
from toolkit import cli

COLOURS = {"red": (230, 40, 60), "green": (30, 200, 40), "blue": (10, 30, 220)}
SIZE = 32
# Colours, 0..1, times this are the logits: sure enough to see, not so sure that all scores are 0 or 1.
STEEP = 4.0


def toolkit(*words: object) -> int:
    return cli.main([str(word) for word in words])


def colour_pictures(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (50, 40), colour).save(folder / f"{name}.png")
    return folder


def write_labels(path: Path) -> Path:
    path.write_text("".join(f"{name}\n" for name in COLOURS), encoding="utf-8")
    return path


def expected(colour: str, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Softmax of the colour, laid on low..high, times ``STEEP``."""
    values = STEEP * (low + (high - low) * np.array(COLOURS[colour]) / 255)
    exponentials = np.exp(values - values.max())
    return [float(value) for value in exponentials / exponentials.sum()]


def kernel() -> Any:
    return np.eye(3, dtype=np.float32) * STEEP


def write_graph(path: Path, build: Callable[[Any], None]) -> Path:
    """Write the GraphDef that ``build`` makes in a graph of TensorFlow 1."""
    tf = import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        build(tf)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def for_poets(path: Path) -> Path:
    """retrain.py's MobileNet: Placeholder ``input``, a bottleneck with a default, variables frozen at the end."""
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default():
        image = v1.placeholder(tf.float32, [1, SIZE, SIZE, 3], name="input")
        features = tf.reduce_mean(image, [1, 2], name="MobilenetV1/Predictions/Reshape")
        v1.nn.softmax(features, name="MobilenetV1/Predictions/Softmax")  # ImageNet's scores, which nobody asks for
        bottleneck = v1.placeholder_with_default(features, [None, 3], name="input_1/BottleneckInputPlaceholder")
        weights = v1.get_variable("final_weights", initializer=tf.constant(kernel()))
        tf.nn.softmax(tf.matmul(bottleneck, weights), name="final_result")
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            constants = v1.graph_util.convert_variables_to_constants
            path.write_bytes(constants(session, graph.as_graph_def(), ["final_result"]).SerializeToString())
    return path


def tf_hub(path: Path) -> Path:
    """TF Hub's retrain.py: ``Placeholder`` takes 0..1, the JPEG decoder stands beside it."""

    def build(tf: Any) -> None:
        v1 = tf.compat.v1
        jpeg = v1.placeholder(tf.string, name="DecodeJPGInput")
        decoded = tf.image.convert_image_dtype(tf.image.decode_jpeg(jpeg, channels=3), tf.float32)
        v1.image.resize_bilinear(tf.expand_dims(decoded, 0), [SIZE, SIZE])
        image = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="Placeholder")
        module = tf.subtract(tf.multiply(image, 2.0), 1.0)
        tf.nn.softmax(tf.matmul(tf.reduce_mean(module, [1, 2]), kernel()), name="final_result")

    return write_graph(path, build)


def decodes_itself(path: Path) -> Path:
    """The Inception of 2015 that classify_image.py fed with JPEG bytes: decode, resize, subtract, multiply."""

    def build(tf: Any) -> None:
        v1 = tf.compat.v1
        jpeg = v1.placeholder(tf.string, name="DecodeJpeg/contents")
        decoded = tf.cast(tf.image.decode_jpeg(jpeg, channels=3), tf.float32)
        resized = v1.image.resize_bilinear(tf.expand_dims(decoded, 0), [SIZE, SIZE], name="ResizeBilinear")
        image = tf.multiply(tf.subtract(resized, 128.0, name="Sub"), 1 / 128, name="Mul")
        tf.nn.softmax(tf.matmul(tf.reduce_mean(image, [1, 2]), kernel()), name="softmax")

    return write_graph(path, build)


def keras_model(*, activation: str = "softmax", rescale: bool = True) -> Any:
    import_tensorflow()
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            *([layers.Rescaling(1 / 255)] if rescale else []),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation=activation),
        ]
    )
    model.layers[-1].set_weights([kernel(), np.zeros(3, np.float32)])
    return model
