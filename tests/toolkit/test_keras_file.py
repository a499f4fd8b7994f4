"""The model.keras that is written without Keras is the one that Keras would have written."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bundle import ModelBundle
from converters.tensorflow import import_tensorflow
from runtime.preprocess import normalize
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.keras_applications import KerasBackbone
from toolkit.backbones.pooling import Pooling
from toolkit.backbones.registry import Backbone, LayeredBackbone, load_backbone
from toolkit.keras_file import Kernels, head_names, write_keras_file

ROOT = Path(__file__).parents[2]


def backbone_of(name: str, cache_dir: Path, pooling: Pooling = "avg") -> Backbone:
    return load_backbone(find_architecture(name).pooled(pooling), weights="none", cache_dir=cache_dir, seed=5)


def random_head(*widths: int) -> Kernels:
    random = np.random.default_rng(1)

    def draw(*shape: int) -> Any:
        return (random.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)

    return [(draw(a, b), draw(b)) for a, b in zip(widths[:-1], widths[1:], strict=True)]


def start_numbering_anew() -> None:
    """Keras numbers layers without a name (``re_lu_3``) through a whole process; a training is a process of its own."""
    import_tensorflow()
    import keras

    keras.backend.clear_session()


def keras_way(backbone: Backbone, head: Kernels, activation: str) -> Any:
    """The same model, built with Keras."""
    import keras

    start_numbering_anew()
    body = backbone.keras_model()
    tensor = body.outputs[0]
    functions = ["relu"] * (len(head) - 1) + [activation]
    for (kernel, bias), name, function in zip(head, head_names(len(head)), functions, strict=True):
        dense = keras.layers.Dense(kernel.shape[1], activation=function, name=name)
        tensor = dense(tensor)
        dense.set_weights([kernel, bias])
    return keras.Model(body.inputs, tensor, name="classifier")


def load(path: Path) -> Any:
    import keras

    return keras.saving.load_model(path, compile=False, safe_mode=True)


def parts(path: Path) -> tuple[Any, dict[str, Any]]:
    """config.json without numbers of shared objects, and all that stands in the weights file."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        stored: dict[str, Any] = {}

        def add(name: str, item: Any) -> None:
            value = [str(item.dtype), item.shape, item[()].tobytes()] if isinstance(item, h5py.Dataset) else None
            stored[name] = (dict(item.attrs), value)

        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            file.visititems(add)
    return without_object_ids(config), stored


def without_object_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_object_ids(item) for key, item in value.items() if key != "shared_object_id"}
    return [without_object_ids(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("name", "pooling", "hidden", "activation"),
    [
        ("mobilenet_0.25_128", "avg-max", (), "softmax"),
        ("mobilenet_v2_0.35_96", "avg", (24, 16), "sigmoid"),  # shortcuts, even sizes
        ("efficientnet_lite0", "avg", (8,), "softmax"),
        ("mobilenet_v3_small", "avg-max", (8,), "softmax"),  # built by Keras, kept
    ],
)
def test_it_is_what_keras_writes(
    name: str, pooling: Pooling, hidden: tuple[int, ...], activation: str, tmp_path: Path
) -> None:
    backbone = backbone_of(name, tmp_path, pooling)
    head = random_head(backbone.architecture.feature_count, *hidden, 3)
    start_numbering_anew()
    write_keras_file(tmp_path / "ours.keras", backbone, head, activation, tmp_path)
    expected = keras_way(backbone, head, activation)
    expected.save(tmp_path / "keras.keras")
    loaded = load(tmp_path / "ours.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in expected.layers]

    size = backbone.architecture.input_size
    pictures = np.random.default_rng(2).uniform(-1, 1, (3, size, size, 3)).astype(np.float32)
    scores = np.asarray(loaded([pictures], training=False))
    np.testing.assert_allclose(scores, np.asarray(expected([pictures], training=False)), rtol=0, atol=1e-6)
    assert scores.shape == (3, 3)
    if activation == "softmax":
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)

    # Every array, group and attribute is where Keras puts it; the settings left out come back as Keras has them.
    assert parts(tmp_path / "ours.keras")[1] == parts(tmp_path / "keras.keras")[1]
    loaded.save(tmp_path / "again.keras")
    assert parts(tmp_path / "again.keras") == parts(tmp_path / "keras.keras")


def test_same_input_same_bytes(tmp_path: Path) -> None:
    backbone = backbone_of("mobilenet_0.25_128", tmp_path)
    for name, seed_head in (("a", random_head(256, 3)), ("b", random_head(256, 3)), ("c", random_head(256, 4))):
        write_keras_file(tmp_path / name, backbone, seed_head, "softmax", tmp_path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_what_keras_built_is_kept_and_made_anew_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = backbone_of("mobilenet_v3_small", tmp_path)
    assert isinstance(backbone, KerasBackbone)
    built = []
    build = KerasBackbone.keras_model

    def counted(self: KerasBackbone) -> Any:
        if not built:
            start_numbering_anew()
        built.append(built[0] if built else build(self))  # seconds; what is asked is how often
        return built[-1]

    monkeypatch.setattr(KerasBackbone, "keras_model", counted)
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    head = random_head(576, 3)
    write_keras_file(first, backbone, head, "softmax", tmp_path)
    write_keras_file(second, backbone, head, "softmax", tmp_path)
    assert len(built) == 1
    assert first.read_bytes() == second.read_bytes()

    (kept,) = (tmp_path / "backbones").glob("*.keras")
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 0xFF
    kept.write_bytes(data)
    write_keras_file(third, backbone, head, "softmax", tmp_path)
    assert len(built) == 2
    assert parts(third) == parts(first)

    kept.write_bytes(data[: len(data) // 3])
    write_keras_file(third, backbone, head, "softmax", tmp_path)
    assert len(built) == 3
    assert parts(third) == parts(first)


def test_another_backbone_of_keras_needs_no_method_of_its_own(tmp_path: Path) -> None:
    """A subclass that knows nothing quicker goes by way of Keras and gives the same model."""
    layered = backbone_of("mobilenet_0.25_128", tmp_path)
    assert isinstance(layered, LayeredBackbone)

    class Plain(LayeredBackbone):
        keras_body = Backbone.keras_body

    plain = Plain(layered.architecture, layered.origin, layered.digest, layered.weights)
    head = random_head(256, 3)
    write_keras_file(tmp_path / "plain", plain, head, "softmax", tmp_path)
    write_keras_file(tmp_path / "layered", layered, head, "softmax", tmp_path)
    assert parts(tmp_path / "plain")[1] == parts(tmp_path / "layered")[1]
    assert not (tmp_path / "backbones").exists()


# Two words are enough: a training that imports either has lost seconds.
WITHOUT_KERAS = """
import sys
from pathlib import Path
from toolkit.options import TrainOptions
from toolkit.train import train
pictures, cache, model = map(Path, sys.argv[1:])
assert train(pictures, TrainOptions(output_dir=model, cache_dir=cache)).written
print(sorted({"tensorflow", "keras", "matplotlib", "cv2", "sklearn"} & sys.modules.keys()))
"""


def test_training_and_its_bundle_need_neither_tensorflow_nor_keras(
    shapes: Path, cache_dir: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WITHOUT_KERAS, str(shapes), str(cache_dir), str(tmp_path / "model")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
    # A bundle that was written so is loaded like any other.
    bundle = ModelBundle.load(tmp_path / "model")
    pixels = normalize(bundle.test_pictures().images[:2], bundle.spec.preprocessing)
    assert np.asarray(bundle.keras_model()([pixels], training=False)).shape == (2, len(bundle.spec.labels))
