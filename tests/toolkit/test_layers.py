"""One list of layers, three readings of it: TFLite file, Keras model, the catalogue's counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize, resize
from toolkit.backbones.catalog import ARCHITECTURES, Architecture, find_architecture
from toolkit.backbones.layers import is_layered, layers_of, round_filters
from toolkit.backbones.pooling import MAX_FACTOR, POOLINGS, Pooling
from toolkit.backbones.registry import LayeredBackbone, load_backbone
from toolkit.backbones.tflite_graph import fold_batch_norm
from toolkit.backbones.weight_readers import random_weights
from toolkit.prepare import preprocessing_of

LAYERED = [a for a in ARCHITECTURES.values() if is_layered(a)]


@pytest.mark.parametrize("architecture", LAYERED, ids=lambda a: a.name)
def test_counts_are_the_catalogues(architecture: Architecture) -> None:
    layers = layers_of(architecture)
    parameters, channels = 0, 3
    for layer in layers:
        parameters += layer.kernel**2 * (1 if layer.depthwise else channels) * layer.filters + 4 * layer.filters
        assert not layer.depthwise or layer.filters == channels
        channels = layer.filters
    assert parameters == architecture.backbone_parameters
    assert len(layers) == architecture.conv_layers
    assert sum(layer.filters for layer in layers) == architecture.conv_channels
    assert layers[-1].filters == architecture.feature_count
    assert len({layer.name for layer in layers}) == len(layers)


def test_the_largest_values_stand_behind_the_means(flowers: Path, tmp_path: Path) -> None:
    """By hand from the last map."""
    architecture = find_architecture("mobilenet_1.00_224").pooled("avg-max")
    assert (architecture.feature_count, architecture.channels) == (2048, 1024)
    assert architecture.pooled("avg") == find_architecture("mobilenet_1.00_224")
    backbone = load_backbone(architecture, cache_dir=tmp_path)
    images = photos(flowers, architecture)[:3]
    keras = pytest.importorskip("keras")
    model = backbone.keras_model()
    last = np.asarray(keras.Model(model.input, model.get_layer("mean_pool").input)(images, training=False))
    expected = np.concatenate([last.mean(axis=(1, 2)), MAX_FACTOR * last.max(axis=(1, 2))], axis=1)
    model = LoadedModel(backbone.tflite(tmp_path), threads=1)
    np.testing.assert_allclose(np.stack([model.run(image[None]) for image in images]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("filters", "rounded"), [(4, 8), (11.2, 16), (12, 16), (17, 16), (18, 24), (19.2, 24), (36, 40), (100, 104)]
)
def test_rounding(filters: float, rounded: int) -> None:
    assert round_filters(filters) == rounded


def photos(flowers: Path, architecture: Architecture) -> NDArray[np.float32]:
    preprocessing = preprocessing_of(architecture)
    paths = [sorted(folder.glob("*.jpg"))[7] for folder in sorted(flowers.iterdir()) if folder.is_dir()][:4]
    pixels = [resize(decode_image(read_image_bytes(path)), preprocessing) for path in paths]
    return normalize(np.stack(pixels), preprocessing)


def assert_same_features(backbone: LayeredBackbone, images: NDArray[np.float32], cache_dir: Path) -> None:
    model = LoadedModel(backbone.tflite(cache_dir), threads=1)
    ours = np.stack([model.run(image[None]) for image in images]).reshape(len(images), -1)
    theirs = np.asarray(backbone.keras_model()(images, training=False))
    assert ours.shape == (len(images), backbone.architecture.feature_count)
    scale = max(1.0, float(np.abs(theirs).max()))
    assert np.abs(ours - theirs).max() <= 1e-4 * scale
    assert theirs.std() > 0.01, "features that say nothing prove nothing"


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["mobilenet_1.00_224", "efficientnet_lite0"])
def test_tflite_and_keras_agree_on_photographs(flowers: Path, tmp_path: Path, name: str, pooling: Pooling) -> None:
    architecture = find_architecture(name).pooled(pooling)
    backbone = load_backbone(architecture, cache_dir=tmp_path)
    assert isinstance(backbone, LayeredBackbone)
    assert_same_features(backbone, photos(flowers, architecture), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_0.25_128",
        "mobilenet_0.75_160",
        "mobilenet_v2_0.35_96",
        "mobilenet_v2_1.40_192",
        "efficientnet_lite2",
    ],
)
def test_tflite_and_keras_agree_on_random_weights(flowers: Path, tmp_path: Path, name: str) -> None:
    architecture = find_architecture(name)
    layers = layers_of(architecture)
    weights = random_weights(layers, 5)
    random = np.random.default_rng(6)
    for key, array in weights.items():  # normalisations that would show if one were left out
        part = key.rsplit("/", 1)[1]
        if part != "kernel":
            spread = random.uniform(0.5, 1.5, array.shape) if part in {"gamma", "moving_variance"} else None
            weights[key] = (random.normal(0, 0.2, array.shape) if spread is None else spread).astype(np.float32)
    backbone = LayeredBackbone(architecture, "random", "0" * 64, weights)
    assert_same_features(backbone, photos(flowers, architecture)[:2], tmp_path)


@pytest.mark.parametrize("name", ["mobilenet_0.50_128", "mobilenet_v2_1.30_96"])
def test_layer_names_and_shapes_are_those_of_keras_applications(name: str) -> None:
    keras = pytest.importorskip("keras")
    architecture = find_architecture(name)
    size = architecture.input_size
    builder = keras.applications.MobileNetV2 if "v2" in name else keras.applications.MobileNet
    theirs = builder(alpha=architecture.alpha, include_top=False, weights=None, input_shape=(size, size, 3))
    shapes = {
        f"{layer.name}/{weight.name.replace('depthwise_', '')}": tuple(weight.shape)
        for layer in theirs.layers
        for weight in layer.weights
    }
    ours = {key: array.shape for key, array in random_weights(layers_of(architecture), 0).items()}
    assert ours == shapes


def test_folding() -> None:
    layer = layers_of(find_architecture("mobilenet_0.25_128"))[1]
    weights = random_weights((layer,), 0) | {
        f"{layer.batch_norm}/{part}": np.full(layer.filters, value, np.float32)
        for part, value in (("gamma", 2.0), ("beta", 3.0), ("moving_mean", 5.0), ("moving_variance", 0.999))
    }
    weights[f"{layer.name}/kernel"] = np.ones((3, 3, layer.filters, 1), np.float32)
    kernel, bias = fold_batch_norm(layer, weights)
    assert kernel == pytest.approx(2.0)
    assert bias == pytest.approx(3.0 - 5.0 * 2.0)
