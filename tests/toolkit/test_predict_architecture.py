"""``toolkit predict --architecture``: ImageNet's classes without a training, a download or TensorFlow."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converters.inputs.imagenet_labels import imagenet_labels
from runtime.errors import ModelError, UsageError
from tests.conftest import ROOT
from tests.toolkit.predict_models import toolkit
from tests.toolkit.test_keras_applications import save_legacy
from toolkit.backbones.catalog import ARCHITECTURES, find_architecture
from toolkit.backbones.classifier_weights import load_imagenet_network, with_top_name
from toolkit.backbones.weight_readers import read_keras_h5

WITH_TOP = "mobilenet_1_0_224_tf.h5"


def test_the_names(thirdparty: Path) -> None:
    names = imagenet_labels()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[285], names[934], names[999]) == ("tench", "Egyptian cat", "hotdog", "toilet tissue")
    # In the order of Coral's list, which has all words of a class and a background before the others.
    other = (thirdparty / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()[1:]
    differing = [ours for ours, theirs in zip(names, other, strict=True) if ours.lower() not in theirs.lower()]
    assert differing == ["crane bird", "maillot tank suit"]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_1.00_224", "efficientnet-lite1", "lite2"])
def test_a_cat_and_a_hot_dog(name: str, thirdparty: Path, tmp_path: Path) -> None:
    """In a process of its own, without network address, cache or TensorFlow."""
    name = "efficientnet_lite2" if name == "lite2" else name
    code = "import sys; from toolkit.cli import main; code = main(); print(*sys.modules, file=sys.stderr); exit(code)"
    pictures = [str(thirdparty / picture) for picture in ("cat.bmp", "hot_dog.jpg")]
    command = [sys.executable, "-c", code, "predict", "--json", "--cache-dir", str(tmp_path), "--architecture", name]
    done = subprocess.run([*command, *pictures], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, modules = done.stderr.splitlines()
    assert said.startswith(f"model: {find_architecture(name).name}, ImageNet's 1000 classes; weights ")
    assert not {"tensorflow", "keras", "h5py", "jinja2"} & set(modules.split())
    cat, hot_dog = (json.loads(line)["predictions"] for line in done.stdout.splitlines())
    assert (len(cat), len(hot_dog)) == (5, 5)
    assert (cat[0]["class_id"], cat[0]["label"]) == (285, "Egyptian cat")
    assert (hot_dog[0]["class_id"], hot_dog[0]["label"]) == (934, "hotdog")
    assert list(tmp_path.iterdir()) == []


def test_the_bundled_classifier_is_that_of_the_shared_file(shared_models: Path, tmp_path: Path) -> None:
    architecture = find_architecture("mobilenet_1.00_224")
    (ours,) = load_imagenet_network(architecture, None, tmp_path).layers
    (theirs,) = load_imagenet_network(architecture, shared_models, tmp_path).layers
    assert (ours.bias == theirs.bias).all()
    np.testing.assert_allclose(ours.kernel, theirs.kernel, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize("name", ["mobilenet_0.25_128", "mobilenet_v2_0.35_96", "mobilenet_v3_small", "inception_v3"])
def test_the_classifier_of_keras_files(tmp_path: Path, name: str) -> None:
    """From Keras's features to Keras's scores, in the layout of the files it downloads."""
    keras = pytest.importorskip("keras")
    architecture = ARCHITECTURES[name]
    size = architecture.input_size
    shape = (size, size, 3)
    builders = {
        "mobilenet": lambda: keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=shape),
        "mobilenet_v2": lambda: keras.applications.MobileNetV2(weights=None, alpha=0.35, input_shape=shape),
        "mobilenet_v3": lambda: keras.applications.MobileNetV3Small(weights=None, include_preprocessing=False),
        "inception_v3": lambda: keras.applications.InceptionV3(weights=None),
    }
    keras.utils.set_random_seed(3)
    model = builders[architecture.family]()
    for layer in model.layers[-8:]:  # drawn small by Keras: all scores would be alike
        if len(layer.weights) == 2:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * 5, bias + np.linspace(-1, 1, bias.size)])
    save_legacy(model, tmp_path / with_top_name(architecture))
    network = load_imagenet_network(architecture, tmp_path, tmp_path)
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    ends = keras.Model(model.inputs, [pools[-1].output, model.output])
    picture = np.random.default_rng(1).uniform(-1, 1, (1, *shape)).astype(np.float32)
    features, scores = (np.asarray(value) for value in ends([picture], training=False))
    np.testing.assert_allclose(network.scores(features.reshape(-1)), scores[0], rtol=1e-3, atol=1e-7)
    assert scores.max() > 2 * scores.min()


@pytest.mark.parametrize(
    ("name", "file_name"),
    [
        ("inception_v3", "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"),
        ("mobilenet_v3_large", "weights_mobilenet_v3_large_224_1.0_float.h5"),
        ("mobilenet_v2_1.00_224", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"),
        ("mobilenet_0.50_160", "mobilenet_5_0_160_tf.h5"),
    ],
)
def test_the_file_that_is_missing_is_named(
    tmp_path: Path, thirdparty: Path, capsys: pytest.CaptureFixture[str], name: str, file_name: str
) -> None:
    for words in ([], ["--model-dir", tmp_path]):
        assert toolkit("predict", "--architecture", name, *words, thirdparty / "cat.bmp") == 2
        err = capsys.readouterr().err
        assert re.search(rf"with --model-dir the folder that holds Keras's file {re.escape(file_name)};", err)
        assert len(err.splitlines()) == 1


def test_a_file_of_another_network(tmp_path: Path, shared_models: Path) -> None:
    other = ARCHITECTURES["mobilenet_v3_small"]
    (tmp_path / with_top_name(other)).symlink_to(shared_models / WITH_TOP)
    with pytest.raises(ModelError, match="does not fit mobilenet_v3_small: its classifier does not take 576 features"):
        load_imagenet_network(other, tmp_path, tmp_path)
    bundled = ARCHITECTURES["mobilenet_1.00_224"]
    (tmp_path / WITH_TOP).symlink_to(shared_models / "mobilenet_1_0_224_tf_no_top.h5")
    with pytest.raises(ModelError, match="its last layer has not 1000 outputs"):
        load_imagenet_network(bundled, tmp_path, tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        load_imagenet_network(bundled, tmp_path / "nowhere", tmp_path)


def test_layers_come_in_the_order_of_the_file(shared_models: Path) -> None:
    assert list(read_keras_h5(shared_models / WITH_TOP))[-2:] == ["conv_preds/kernel", "conv_preds/bias"]
