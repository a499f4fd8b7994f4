"""Networks under training against the ones that are handed over: TFLite and Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.tensorflow import import_tensorflow
from runtime.interpreter import LoadedModel
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.layers import ConvLayer
from toolkit.backbones.pooling import POOLINGS, Pooling
from toolkit.backbones.registry import Backbone, LayeredBackbone, load_backbone
from toolkit.backbones.weight_readers import random_weights
from toolkit.finetune import net_of
from toolkit.training.layered_net import LayeredNet

# An inverted residual with a 5 x 5 filter and a shortcut, on a stem.
SMALL = (
    ConvLayer("stem", "stem_bn", 3, 2, 8),
    ConvLayer("block0_expand", "block0_expand_bn", 1, 1, 16),
    ConvLayer("block0_depthwise", "block0_depthwise_bn", 5, 1, 16, depthwise=True),
    ConvLayer("block0_project", "block0_project_bn", 1, 1, 8, relu6=False, adds="stem"),
    ConvLayer("head", "head_bn", 1, 1, 12),
)


def some_weights(seed: int) -> dict[str, Any]:
    """Random ones whose normalisations are not neutral."""
    random = np.random.default_rng(seed)
    weights = random_weights(SMALL, seed)
    for name, array in weights.items():
        if not name.endswith("kernel"):
            weights[name] = (array + random.uniform(0.1, 0.5, array.shape)).astype(np.float32)
    return weights


def images(size: int, count: int = 4) -> Any:
    return np.random.default_rng(1).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ["mobilenet_0.25_128", "mobilenet_v2_0.35_96", "efficientnet_lite0"])
def test_features_are_those_of_the_tflite_file(name: str, pooling: Pooling, cache_dir: Path) -> None:
    backbone = load_backbone(find_architecture(name).pooled(pooling), weights="none", cache_dir=cache_dir)
    assert isinstance(backbone, LayeredBackbone)
    batch = images(backbone.architecture.input_size, 1)
    expected = LoadedModel(backbone.tflite(cache_dir), threads=1).run(batch)
    exact = net_of(backbone, "float32").features(batch, training=False).numpy()[0]
    np.testing.assert_allclose(exact, expected, atol=1e-3 * float(np.abs(expected).max()))
    rounded = net_of(backbone, "bfloat16").features(batch, training=False).numpy()[0]
    assert np.corrcoef(rounded, expected)[0, 1] > 0.99


def test_arrays_come_back_as_they_went_in() -> None:
    import_tensorflow()
    weights = some_weights(0)
    arrays = LayeredNet(SMALL, weights, "float32").arrays()
    assert arrays.keys() == weights.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, weights[name])


def test_batch_statistics_are_kerass() -> None:
    import_tensorflow()
    from toolkit.backbones.keras_graph import build_backbone

    weights = some_weights(1)
    batch = images(16, 8)
    net = LayeredNet(SMALL, weights, "float32")
    model = build_backbone(SMALL, weights, 16)
    expected = model(batch, training=True).numpy()
    np.testing.assert_allclose(net.features(batch, training=True).numpy(), expected, atol=1e-4)
    # Keras moves by 1 - 0.99 of the difference, ours by 1 - 0.95, and it takes the variance over n, TensorFlow n - 1.
    for part, places in (("moving_mean", 2), ("moving_variance", 3)):
        before = weights[f"stem_bn/{part}"]
        theirs = (model.get_layer("stem_bn").get_weights()[places] - before) / 0.01
        ours = (net.statistics[f"stem_bn/{part}"].numpy() - before) / 0.05
        np.testing.assert_allclose(ours, theirs, atol=2e-2)


def test_frozen_statistics_do_not_move_and_gradients_reach_everything() -> None:
    tf = import_tensorflow()
    weights = some_weights(2)
    net = LayeredNet(SMALL, weights, "float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(net.features(images(16), training=False)))
    gradients = tape.gradient(loss, [parameter.variable for parameter in net.parameters])
    assert len(gradients) == 3 * len(SMALL)
    assert all(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)
    for name, variable in net.statistics.items():
        np.testing.assert_array_equal(variable.numpy(), weights[name])


KERAS_BLOCKS = {
    "mobilenet_v3_small": ("stem", "expanded_conv", *(f"expanded_conv_{n}" for n in range(1, 11)), "head"),
    "inception_v3": ("stem", *(f"mixed{n}" for n in range(1, 11))),
}


@pytest.mark.parametrize("name", KERAS_BLOCKS)
def test_keras_backbones_have_blocks_and_take_other_weights(name: str, cache_dir: Path) -> None:
    backbone: Backbone = load_backbone(find_architecture(name), weights="none", cache_dir=cache_dir)
    net = net_of(backbone, "float32")
    assert net.blocks == KERAS_BLOCKS[name]
    assert any(parameter.decays for parameter in net.parameters)
    assert {parameter.block for parameter in net.parameters} == set(net.blocks)
    arrays = net.arrays()
    random = np.random.default_rng(0)
    other = {n: (a * random.uniform(0.9, 1.1, a.shape)).astype(np.float32) for n, a in arrays.items()}
    tuned = backbone.with_weights(other, "changed")
    assert tuned.digest != backbone.digest
    assert tuned.with_weights(dict(reversed(other.items())), "again").digest == tuned.digest
    if name == "inception_v3":  # building it twice more takes ten seconds
        return
    found = net_of(tuned, "float32").arrays()
    assert all((found[n] == a).all() for n, a in other.items())
    batch = images(backbone.architecture.input_size, 1)
    expected = tuned.keras_model()([batch], training=False).numpy()
    np.testing.assert_allclose(net_of(tuned, "float32").features(batch, training=False), expected, rtol=1e-4)
