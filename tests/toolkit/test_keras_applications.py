"""MobileNet v3 and Inception v3: built and converted by Keras, kept, and the same in both forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.interpreter import LoadedModel
from toolkit.backbones import keras_applications
from toolkit.backbones.catalog import ARCHITECTURES, Architecture, find_architecture
from toolkit.backbones.keras_applications import KerasBackbone
from toolkit.backbones.registry import load_backbone

SMALL = find_architecture("mobilenet_v3_small")


def random_images(architecture: Architecture, count: int = 2) -> NDArray[np.float32]:
    size = architecture.input_size
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def features(backbone: KerasBackbone, images: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(backbone.keras_model()([images], training=False))


def random_backbone(architecture: Architecture, cache_dir: Path, seed: int = 0) -> KerasBackbone:
    backbone = load_backbone(architecture, weights="none", cache_dir=cache_dir, seed=seed)
    assert isinstance(backbone, KerasBackbone)
    return backbone


def assert_same_features(architecture: Architecture, tmp_path: Path) -> None:
    backbone = random_backbone(architecture, tmp_path)
    model = LoadedModel(backbone.tflite(tmp_path), threads=2)
    images = random_images(architecture)
    expected = features(backbone, images)
    assert expected.shape == (2, architecture.feature_count)
    found = np.stack([model.run(image[None]) for image in images]).reshape(expected.shape)
    # What counts is the difference beside their own size, which random weights do not know.
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    # Pictures must reach the features: through kernels drawn as Keras does they were 1e-10 in MobileNet v3.
    assert expected.std(axis=0).mean() > 1e-3


@pytest.mark.slow
def test_small_is_converted_once_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_features(SMALL, tmp_path)
    (kept,) = (tmp_path / "backbones").glob("*.tflite")
    assert kept.name.startswith("mobilenet_v3_small-")
    monkeypatch.setattr(keras_applications, "convert_float32", None)  # must not be needed again
    assert random_backbone(SMALL, tmp_path).tflite(tmp_path) == kept.read_bytes()


@pytest.mark.slow
def test_inception_gives_the_same(tmp_path: Path) -> None:
    # Less than half its input; strides meet odd maps as they do there.
    assert_same_features(replace(find_architecture("inception_v3"), input_size=139), tmp_path)


def test_a_seed_gives_the_same_random_weights(tmp_path: Path) -> None:
    images = random_images(SMALL, 1)
    one, again, other = (random_backbone(SMALL, tmp_path, seed) for seed in (1, 1, 2))
    assert one.digest == again.digest != other.digest
    assert (features(one, images) == features(again, images)).all()
    assert not np.allclose(features(one, images), features(other, images), atol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "mobilenet_v3_large"])
def test_weight_files_with_and_without_the_classifier(tmp_path: Path, name: str) -> None:
    keras = pytest.importorskip("keras")
    architecture = ARCHITECTURES[name]
    builder = keras.applications.MobileNetV3Small if "small" in name else keras.applications.MobileNetV3Large
    keras.utils.set_random_seed(11)
    whole = builder(weights=None, include_preprocessing=False)
    body = builder(weights=None, include_preprocessing=False, include_top=False, input_shape=(224, 224, 3))
    body.set_weights(whole.get_weights()[: len(body.weights)])
    expected = np.asarray(body(random_images(architecture, 1), training=False)).mean(axis=(1, 2))
    no_top = architecture.weights.file_name
    files = [(body, no_top), (whole, no_top.replace("_no_top", ""))]
    for number, (model, file_name) in enumerate(files if "small" in name else files[1:]):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_legacy(model, folder / file_name)
        backbone = load_backbone(architecture, model_dir=folder, cache_dir=tmp_path)
        assert isinstance(backbone, KerasBackbone)
        assert backbone.origin == f"from {folder / file_name}"
        np.testing.assert_allclose(
            features(backbone, random_images(architecture, 1)), expected, rtol=0, atol=1e-5 * np.abs(expected).max()
        )


def save_legacy(model: object, path: Path) -> None:
    """In the layout of the files that Keras Applications downloads."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all"])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SMALL.weights.file_name).write_bytes(content)
    backbone = load_backbone(SMALL, model_dir=tmp_path, cache_dir=tmp_path)
    with pytest.raises(ModelError, match="does not fit mobilenet_v3_small") as caught:
        backbone.keras_model()
    assert len(str(caught.value).splitlines()) == 1


def test_file_of_another_architecture(tmp_path: Path, shared_models: Path) -> None:
    (tmp_path / SMALL.weights.file_name).symlink_to(shared_models / "mobilenet_1_0_224_tf_no_top.h5")
    with pytest.raises(ModelError, match="does not fit mobilenet_v3_small"):
        load_backbone(SMALL, model_dir=tmp_path, cache_dir=tmp_path).keras_model()
