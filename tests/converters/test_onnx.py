from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from converters.formats.onnx import LARGEST_OPSET, LEAST_OPSET, check_opset, convert_onnx
from converters.formats.tflite import convert_float32
from converters.metadata import add_metadata
from runtime.errors import MissingPackageError, UsageError
from runtime.preprocess import normalize
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.other_readers import run_beside_tensorflow

pytest.importorskip("tensorflow")

KINDS = ("residual", "concat", "hard_swish", "no_bias", "reshaped")
LABELS = ("Gänseblümchen", "向日葵", "two\nlines", " spaces ", '"🌷", <b>')


def reshaped() -> Any:
    """Fixed shapes in the middle and at the end of a network, as a batch of one makes them."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    source = keras.Input((small_nets.SIZE, small_nets.SIZE, 3))
    x = layers.ReLU(6)(layers.Conv2D(8, 3, strides=4)(source))
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    return keras.Model([source], layers.Dense(small_nets.CLASSES, activation="softmax")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What came out for each network, in an environment with tf2onnx and ONNX Runtime."""
    folder = tmp_path_factory.mktemp("onnx")
    pixels, images = small_nets.pixels(127.5, 127.5), small_nets.pictures(20)
    for kind in KINDS:
        model = reshaped() if kind == "reshaped" else small_nets.build(kind)
        spec = ModelSpec(kind, "small", "single-label", pixels, LabelList(LABELS))
        (folder / f"{kind}.tflite").write_bytes(add_metadata(convert_float32(model), spec))
        scores = np.asarray(model([normalize(images, pixels)], training=False))
        np.savez(folder / f"{kind}.npz", images=images, scores=scores)
    dependencies = ["tf2onnx==1.17.0", "onnx==1.23.2", "onnxruntime==1.32.0"]
    return run_beside_tensorflow("onnx", dependencies, "onnx_export.py", folder)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_keras_model(found: Any, kind: str) -> None:
    facts = found[kind]
    assert (facts["images"], facts["agreement"]) == (20, 1.0)
    assert facts["difference"] < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_any_batch(found: Any, kind: str) -> None:
    size = small_nets.SIZE
    assert found[kind]["ends"] == {"image": ["batch", size, size, 3], "scores": ["batch", small_nets.CLASSES]}
    assert found[kind]["batches_differ"] < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes_every_time(found: Any, kind: str) -> None:
    assert found[kind]["again"]
    assert found[kind]["unused"] == []


def test_it_says_what_it_is(found: Any) -> None:
    properties = found["residual"]["properties"]
    assert ModelSpec.from_json(properties["spec.json"]).labels.names == LABELS
    assert properties["labels"] == LabelList(LABELS).as_lines()
    assert properties["Image.BitmapPixelFormat"] == "Rgb8"
    assert properties["Image.NominalPixelRange"] == "Normalized_1_1"


def test_opsets(found: Any) -> None:
    assert found["hard_swish"]["opset"] == [14]
    assert "HardSwish" in found["hard_swish"]["operators"]
    for opset in range(LEAST_OPSET, LARGEST_OPSET + 1):
        assert found[f"opset {opset}"]["opset"] == [opset]
        assert found[f"opset {opset}"]["difference"] < 1e-5
    assert "HardSwish" in found["refused opset"]
    assert "--onnx-opset 18 knows more operators" in found["refused opset"]


def test_other_scores_are_refused(found: Any) -> None:
    assert found["refused scores"].startswith("ModelError: refused.onnx: the scores of the ONNX model differ by ")
    assert not found["left"]


@pytest.mark.parametrize("opset", [8, 19, -1])
def test_no_such_opset(opset: int) -> None:
    with pytest.raises(UsageError, match=f"--onnx-opset must be 9 to 18, not {opset}"):
        check_opset(opset)


@pytest.mark.skipif(find_spec("tf2onnx") is not None, reason="tf2onnx is installed here")
def test_without_tf2onnx() -> None:
    pixels = small_nets.pixels(127.5, 127.5)
    spec = ModelSpec("m", "small", "single-label", pixels, LabelList(LABELS))
    with pytest.raises(
        MissingPackageError, match=r"--formats onnx needs .*pip install 'edge-export-toolkit\[train,onnx\]'"
    ):
        convert_onnx(convert_float32(small_nets.build("residual")), spec)
