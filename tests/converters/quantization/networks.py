"""Networks for the tests of this folder, as float files, and ways to give their layers what they do not have."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.tflite import convert_float32, quantize_int8
from converters.quantization.network_statistics import Range
from converters.quantization.rebuilt_network import RebuiltNetwork
from converters.ranges import measure_ranges
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize
from runtime.spec import Preprocessing
from tests.converters import small_nets
from tests.converters.small_nets import SIZE

PREPROCESSING = small_nets.pixels(127.5, 127.5)
ROOT = Path(__file__).parents[3]
# Height and width that they are made for, pixels: no more than shows what they do. Inception v3 still has 2 x 2
# ahead of its pool.
ARCHITECTURES = {
    "mobilenet_v3_small_1.0_224": 128,
    "mobilenet_0.25_128": 128,
    "mobilenet_v2_0.35_96": 96,
    "inception_v3": 128,
    "efficientnet_lite0": 128,
}


def tensors(size: int = SIZE, count: int = 3) -> NDArray[np.float32]:
    """Normalised pictures, float32 (count, size, size, 3)."""
    small = normalize(small_nets.pictures(count), PREPROCESSING)
    repeats = -(-size // SIZE)
    return np.tile(small, (1, repeats, repeats, 1))[:, :size, :size]


@cache
def architectures() -> dict[str, bytes]:
    """A network of ours of each construction with random weights under five classes, made in a process of their own.

    What Keras made before in a process changes which random weights it draws, in spite of the seed.
    """
    code = (
        f"import pickle, sys; from {__name__} import *; pickle.dump(list(map(made, ARCHITECTURES)), sys.stdout.buffer)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return dict(zip(ARCHITECTURES, pickle.loads(done.stdout), strict=True))  # noqa: S301 - our own


def made(name: str) -> bytes:
    """One of them, in this process."""
    import keras

    from toolkit.backbones.catalog import find_architecture
    from toolkit.backbones.registry import load_backbone

    keras.utils.set_random_seed(3)
    architecture = replace(find_architecture(name), input_size=ARCHITECTURES[name])
    body = load_backbone(architecture, weights="none", cache_dir=Path("unused")).keras_model()
    scores = keras.layers.Dense(5, activation="softmax")(body.output)
    return convert_float32(keras.Model(body.input, scores))


def livened(content: bytes) -> bytes:
    """The same with outputs of every layer that vary by one or so, as trained ones do; random weights let them die."""
    import tensorflow as tf

    network, random = RebuiltNetwork(content), np.random.default_rng(0)
    biases = [layer.bias for layer in network.layers if layer.bias is not None]
    layers = {layer.output: layer for layer in network.layers}
    activations = {step.outputs[0]: getattr(step.options, "fusedActivationFunction", 0) for step in network.steps}
    weights: dict[int, NDArray[np.float32]] = {}

    def after(index: int, value: Any) -> Any:
        if index not in layers:
            return value
        layer, array = layers[index], np.asarray(value)
        axes = tuple(range(array.ndim - 1))
        # Not more than ten times as much for one channel as for another: else rounding errors become answers.
        factors = 1 / np.maximum(array.std(axis=axes), 0.1 * array.std() + 1e-6)
        if layer is network.layers[-1]:
            factors = np.full_like(factors, 1 / np.abs(array).max())
        shape = [-1 if axis == layer.axis else 1 for axis in range(network.constants[layer.kernel].ndim)]
        weights[layer.kernel] = (network.constants[layer.kernel] * factors.reshape(shape)).astype(np.float32)
        made = array * factors
        if layer.bias is not None:
            offsets = random.normal(0, 0.3, factors.shape) - made.mean(axis=axes)
            weights[layer.bias], made = offsets.astype(np.float32), made + offsets
        limit = {0: (-np.inf, np.inf), 1: (0, np.inf), 3: (0, 6)}[activations[index]]
        return tf.constant(made.clip(*limit), tf.float32)

    without = {index: np.zeros_like(network.constants[index]) for index in biases}
    network.forward(tensors(network.shape(network.input)[1], 4), without, after)
    return network.write(weights)


def float_scores(content: bytes, images: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Of the interpreter."""
    model = LoadedModel(content)
    return np.stack([model.run(normalize(image, preprocessing)[None]) for image in images])


def int8_scores(
    content: bytes, ranges: dict[int, Range], images: NDArray[np.uint8], preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Of the network in integers, as the interpreter runs it."""
    return small_nets.scores(quantize_int8(content, ranges), images, preprocessing)


def with_wild_channels(content: bytes, factor: float, every: int = 4) -> bytes:
    """The same answers, but some channels ahead of each convolution are ``factor`` times as large as they were.

    Where nothing but that convolution reads what a layer without an activation, or with ReLU, makes.
    """
    network = RebuiltNetwork(content)
    weights: dict[int, NDArray[np.float32]] = {}
    homogeneous = {step.outputs[0] for step in network.steps if getattr(step.options, "fusedActivationFunction", 9) < 2}
    for maker in network.layers:
        readers = [step for step in network.steps if maker.output in step.inputs]
        reader = next((layer for layer in network.layers if layer.source == maker.output), None)
        if len(readers) != 1 or reader is None or maker.output not in homogeneous:
            continue
        factors = np.ones(network.constants[maker.kernel].shape[maker.axis], np.float32)
        factors[::every] = factor
        shape = [-1 if axis == maker.axis else 1 for axis in range(network.constants[maker.kernel].ndim)]
        weights[maker.kernel] = weights.get(maker.kernel, network.constants[maker.kernel]) * factors.reshape(shape)
        if maker.bias is not None:
            weights[maker.bias] = network.constants[maker.bias] * factors
        weights[reader.kernel] = weights.get(reader.kernel, network.constants[reader.kernel]) / factors
    assert weights, "nothing was planted"
    return network.write(weights)


def ranges_of(content: bytes, images: NDArray[np.uint8]) -> dict[int, Range]:
    return measure_ranges(content, images, PREPROCESSING)


@cache
def chain() -> bytes:
    """Convolutions in a row, with ReLU and without, and a residual sum: all channels of it can be scaled."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(5)
    source = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu")(source)
    x = layers.Conv2D(16, 1)(x)
    y = layers.Conv2D(24, 1, activation="relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation="relu")(y)
    x = layers.Add()([x, layers.Conv2D(16, 1)(y)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(24, 1, activation="relu")(x))
    return livened(convert_float32(keras.Model(source, layers.Dense(5, activation="softmax")(x))))


@cache
def uneven() -> bytes:
    """Convolutions with hard-swish between them; each has some channels that are hardly there and matter much."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(6)
    source = keras.Input((SIZE, SIZE, 3))
    x = layers.Activation("hard_silu")(layers.Conv2D(16, 3, 2, padding="same")(source))
    x = layers.Activation("hard_silu")(layers.Conv2D(16, 3, padding="same")(x))
    x = layers.GlobalAveragePooling2D()(layers.Activation("hard_silu")(layers.Conv2D(24, 1)(x)))
    content = livened(convert_float32(keras.Model(source, layers.Dense(5, activation="softmax")(x))))
    network = RebuiltNetwork(content)
    weights: dict[int, NDArray[np.float32]] = {}
    for maker, reader in zip(network.layers[:2], network.layers[1:3], strict=True):
        factors = np.where(np.arange(16) % 4, 1, 1 / 40).astype(np.float32)
        weights[maker.kernel] = (
            weights.get(maker.kernel, network.constants[maker.kernel]) * factors[:, None, None, None]
        )
        assert maker.bias is not None
        weights[maker.bias] = network.constants[maker.bias] * factors
        weights[reader.kernel] = network.constants[reader.kernel] / factors
    last = network.layers[-1].kernel
    weights[last] = network.constants[last] * np.float32(4)
    return network.write(weights)
