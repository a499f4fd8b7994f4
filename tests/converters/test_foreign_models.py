"""Keras files, SavedModels and ``.tflite`` files of others become files that give the same scores."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.saved_model import write_saved_model
from converters.formats.tflite import convert_float32
from converters.inputs.foreign import ForeignSource
from converters.inputs.hints import Hints
from converters.inputs.open_source import open_source
from converters.metadata import add_metadata
from converters.tensorflow import import_tensorflow
from runtime.classifier import Classifier
from runtime.errors import ModelError, UsageError
from runtime.interpreter import LoadedModel
from runtime.model_file import ModelFile
from runtime.preprocess import normalize
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.small_nets import CLASSES, SIZE

HALF = Hints(mean=(127.5,), std=(127.5,))
NUMBERS = tuple(map(str, range(CLASSES)))


def labelled(folder: Path, *labels: str, **more: Any) -> Hints:
    (folder / "names.txt").write_text("\n".join(labels), encoding="utf-8")
    return Hints(labels=str(folder / "names.txt"), mean=(127.5,), std=(127.5,), **more)


def check(source: ForeignSource, answer: Callable[[NDArray[np.float32]], Any], within: float = 1e-5) -> bytes:
    """The source's file and its scores are those of ``answer``, which takes normalised pictures, 0..1."""
    content = source.float32()
    model = LoadedModel(content)
    pixels = source.spec.preprocessing
    assert (model.input_shape, model.classes) == ((1, pixels.height, pixels.width, 3), len(source.spec.labels))
    images = source.check_pictures().images
    wanted = np.asarray(answer(normalize(images, pixels)))
    assert np.ptp(wanted, axis=0).max() > 0.01  # pictures make a difference
    given = np.stack([model.run(normalize(image, pixels)[None]) for image in images])
    assert np.abs(given - wanted).max() < within
    assert np.abs(source.scores(images) - wanted).max() < within
    path = Path(source.output_folder()).parent / "written.tflite"
    path.write_bytes(add_metadata(content, source.spec))
    classifier = Classifier.load(path)
    as_runtime = np.stack([classifier.scores(image) for image in images])
    path.unlink()
    assert np.abs(as_runtime - wanted).max() < within
    return content


def softmax(values: Any) -> NDArray[np.float32]:
    return np.asarray(import_tensorflow().nn.softmax(values))


def net(outputs: int, activation: str | None, size: int | None = SIZE, dtype: str = "float32") -> Any:
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(2)
    layers = keras.layers
    source = keras.Input((size, size, 3), dtype=dtype)
    x = layers.Rescaling(1 / 80 if dtype == "uint8" else 1.0)(source)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    return keras.Model(source, layers.Dense(outputs, activation)(layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish"])
def test_keras_files(tmp_path: Path, kind: str, ending: str) -> None:
    model = small_nets.build(kind)
    save(model, tmp_path / f"m.{ending}")
    source = open_source(tmp_path / f"m.{ending}", HALF)
    check(source, lambda x: model([x], training=False))
    kept = source.keras_model()
    assert kept is not None and kept.count_params() == model.count_params()
    assert (source.spec.name, source.spec.labels.names) == ("m", NUMBERS)


def save(model: Any, path: Path) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    if path.suffix == ".keras":
        model.save(path)
    else:
        legacy_h5_format.save_model_to_hdf5(model, str(path))  # model.save warns that it is old


def test_logits_get_a_softmax(tmp_path: Path) -> None:
    model = net(CLASSES, None)
    model.save(tmp_path / "m.keras")
    source = open_source(tmp_path / "m.keras", HALF)
    check(source, lambda x: softmax(model(x)))
    kept = source.keras_model()
    images = normalize(source.check_pictures().images, source.spec.preprocessing)
    assert np.asarray(kept(images)) == pytest.approx(softmax(model(images)), abs=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_score_between_two_labels(tmp_path: Path, activation: str | None) -> None:
    model = net(1, activation)
    model.save(tmp_path / "m.keras")
    hints = labelled(tmp_path, "cat", "dog")

    def both(x: Any) -> NDArray[np.float32]:
        tf = import_tensorflow()
        dog = np.asarray(model(x) if activation else tf.sigmoid(model(x)))
        return np.concatenate([1 - dog, dog], axis=1)

    source = open_source(tmp_path / "m.keras", hints)
    check(source, both)
    assert source.spec.labels.names == ("cat", "dog")
    images = normalize(source.check_pictures().images, source.spec.preprocessing)
    assert np.asarray(source.keras_model()(images)) == pytest.approx(both(images), abs=1e-6)
    (tmp_path / "m.tflite").write_bytes(convert_float32(model))
    check(open_source(tmp_path / "m.tflite", hints), both)


@pytest.mark.parametrize("said", [None, 40])
def test_any_size_becomes_one(tmp_path: Path, said: int | None) -> None:
    model = net(CLASSES, "softmax", size=None)
    model.save(tmp_path / "m.keras")
    source = open_source(tmp_path / "m.keras", Hints(mean=(127.5,), std=(127.5,), height=said))
    size = said or 224
    assert (source.spec.preprocessing.height, source.spec.preprocessing.width) == (size, size)
    check(source, lambda x: model(x))
    assert source.keras_model().inputs[0].shape == (None, size, size, 3)


def test_a_keras_model_that_takes_bytes(tmp_path: Path) -> None:
    model = net(CLASSES, "softmax", dtype="uint8")
    model.save(tmp_path / "m.keras")
    source = open_source(tmp_path / "m.keras", Hints(mean=(0.0,), std=(1.0,)))
    content = check(source, lambda x: model(x.astype(np.uint8)))
    (tmp_path / "m.tflite").write_bytes(content)
    assert "CAST" not in {operator.name for operator in ModelFile.read(tmp_path / "m.tflite").operators}


def test_a_saved_model_of_keras(tmp_path: Path) -> None:
    model = small_nets.build("residual")
    model.export(tmp_path / "sm", verbose=False)
    source = open_source(tmp_path / "sm" / "saved_model.pb", HALF)
    check(source, lambda x: model([x], training=False))
    assert source.output_folder() == tmp_path / "sm_export"
    assert {"sm/saved_model.pb", "sm/variables/variables.index"} <= set(source.digests())
    assert source.keras_model() is None


def test_a_saved_model_of_ours(tmp_path: Path) -> None:
    """Its spec lies in it: labels and preprocessing need no words."""
    model = small_nets.build("residual")
    labels = LabelList(("a", "b b", "ü", "<d>", "e"))
    spec = ModelSpec("flowers", "mobilenet", "single-label", small_nets.pixels(100.0, 50.0), labels)
    write_saved_model(tmp_path / "sm", model, spec)
    source = open_source(tmp_path / "sm")
    assert source.spec == spec
    check(source, lambda x: model([x], training=False))


@pytest.mark.parametrize("size", [None, SIZE])
def test_a_saved_model_of_tf_hub_in_tensorflow_2(tmp_path: Path, size: int | None) -> None:
    """A classifier: one signature, any batch and perhaps any size, logits, nested functions and variables."""
    tf = import_tensorflow()
    rng = np.random.default_rng(0)

    class Hub(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(rng.normal(0, 1, (3, 3, 3, 8)).astype(np.float32))
            self.dense = tf.Variable(rng.normal(0, 1, (8, CLASSES)).astype(np.float32))

        @tf.function  # type: ignore[untyped-decorator]
        def features(self, image: Any) -> Any:
            return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image * 2.0 - 1.0, self.kernel, 2, "SAME")), [1, 2])

        @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3])])  # type: ignore[untyped-decorator]
        def __call__(self, inputs: Any) -> Any:
            return tf.matmul(self.features(inputs), self.dense)

    model = Hub()
    signature = tf.function(lambda inputs: {"logits": model(inputs)}, input_signature=model.__call__.input_signature)
    tf.saved_model.save(model, str(tmp_path / "hub"), signatures=signature)
    source = open_source(tmp_path / "hub")
    assert (source.spec.preprocessing.mean[0], source.spec.preprocessing.std[0]) == (0, 255)
    assert source.spec.preprocessing.height == (size or 224)
    check(source, lambda x: softmax(model(tf.constant(x))), within=1e-4)


@pytest.mark.parametrize("resource", [False, True])
def test_a_saved_model_of_tf_hub_in_tensorflow_1(tmp_path: Path, resource: bool) -> None:
    """Variables that a session restores, as retrain.py's --saved_model_dir wrote them."""
    tf = import_tensorflow()
    v1, graph = tf.compat.v1, tf.Graph()
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 1, (3, 3, 3, 8)).astype(np.float32)
    dense = rng.normal(0, 1, (8, CLASSES)).astype(np.float32)
    with graph.as_default(), v1.Session() as session:
        image = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="Placeholder")
        first = v1.get_variable("module/kernel", initializer=kernel, use_resource=resource)
        x = tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, first, 2, "SAME")), [1, 2])
        x = v1.placeholder_with_default(x, [None, 8], name="input/BottleneckInputPlaceholder")
        last = v1.get_variable("final", initializer=dense, use_resource=resource)
        scores = tf.nn.softmax(tf.matmul(x, last), name="final_result")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "sm"), {"image": image}, {"prediction": scores})

    def answer(x: NDArray[np.float32]) -> Any:
        return tf.nn.softmax(tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "SAME")), [1, 2]) @ dense)

    source = open_source(tmp_path / "sm")
    check(source, answer)
    assert source.traced("a", "b").input_signature[0].shape == (None, SIZE, SIZE, 3)


def test_a_tflite_file(tmp_path: Path) -> None:
    model = small_nets.build("residual")
    (tmp_path / "flowers_float32.tflite").write_bytes(convert_float32(model))
    source = open_source(tmp_path / "flowers_float32.tflite", labelled(tmp_path, *"vwxyz"))
    check(source, lambda x: model([x], training=False))
    assert (source.spec.name, source.spec.labels.names) == ("flowers", tuple("vwxyz"))
    assert source.keras_model() is None
    with pytest.raises(ModelError, match="no TensorFlow format can be made; give the model it was converted from"):
        source.traced("a", "b")
    with pytest.raises(UsageError, match="does not say how pixels are normalised for its float input"):
        open_source(tmp_path / "flowers_float32.tflite")


def test_a_tflite_file_with_metadata(tmp_path: Path) -> None:
    """Standard metadata alone: our spec is taken out of the archive."""
    model = small_nets.build("residual")
    spec = ModelSpec("f", "b", "single-label", small_nets.pixels(100.0, 50.0), LabelList(tuple("abcde")))
    content = add_metadata(convert_float32(model), spec)
    (tmp_path / "ours.tflite").write_bytes(content)
    assert open_source(tmp_path / "ours.tflite").spec == spec
    with zipfile.ZipFile(tmp_path / "ours.tflite") as archive:
        start = min(info.header_offset for info in archive.infolist())
        names = archive.read("labels.txt")
    path = tmp_path / "theirs.tflite"
    path.write_bytes(content[:start])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", names)
    source = open_source(path)
    assert (source.spec.preprocessing, source.spec.labels.names) == (spec.preprocessing, tuple("abcde"))
    check(source, lambda x: model([x], training=False))


def test_logits_of_a_tflite_file(tmp_path: Path) -> None:
    model = net(CLASSES, None)
    content = unpack_model(convert_float32(model))
    graph = content.subgraphs[0]
    (tmp_path / "m.tflite").write_bytes(pack_model(content))
    assert len(graph.operators) > 1
    check(open_source(tmp_path / "m.tflite", HALF), lambda x: softmax(model(x)))


def test_scores_of_four_dimensions(tmp_path: Path) -> None:
    import_tensorflow()
    import keras

    source = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(CLASSES, 3, strides=2)(source)
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    model = keras.Model(source, keras.layers.Softmax()(x))
    (tmp_path / "m.tflite").write_bytes(convert_float32(model))
    check(open_source(tmp_path / "m.tflite", HALF), lambda x: np.asarray(model(x)).reshape(-1, CLASSES))


def float16(model: Any) -> bytes:
    """As TensorFlow's own converter makes it."""
    tf = import_tensorflow()
    traced = tf.function(lambda x: model([x]), input_signature=[tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
    converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [tf.float16]
    return bytes(converter.convert())


def test_float16_becomes_float32(tmp_path: Path) -> None:
    model = small_nets.build("residual")
    (tmp_path / "m.tflite").write_bytes(float16(model))
    assert "DEQUANTIZE" in {operator.name for operator in ModelFile.read(tmp_path / "m.tflite").operators}
    content = check(open_source(tmp_path / "m.tflite", HALF), lambda x: model([x], training=False), within=2e-3)
    (tmp_path / "n.tflite").write_bytes(content)
    assert "DEQUANTIZE" not in {operator.name for operator in ModelFile.read(tmp_path / "n.tflite").operators}
    wide = convert_float32(model)
    assert abs(len(content) - len(wide)) < 2000  # the halves are gone


def test_a_tflite_file_for_any_size(tmp_path: Path) -> None:
    tf = import_tensorflow()
    model = net(CLASSES, "softmax", size=None)
    taken = tf.TensorSpec((1, None, None, 3), tf.float32)
    traced = tf.function(lambda x: model(x), input_signature=[taken]).get_concrete_function()
    (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([traced]).convert())
    source = open_source(tmp_path / "m.tflite", Hints(mean=(127.5,), std=(127.5,), height=40, width=48))
    assert (source.spec.preprocessing.height, source.spec.preprocessing.width) == (40, 48)
    check(source, lambda x: model(x))


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_quant.tflite", "mobilenet_v1_0.25_128_quant.tflite"])
def test_quantised_already(thirdparty: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"is quantised already \(its weights and activations are uint8\): what was "):
        open_source(thirdparty / name)


def test_labels_that_are_not_different(tmp_path: Path) -> None:
    """ImageNet has two cranes; a spec names each class once."""
    small_nets.build("residual").save(tmp_path / "m.keras")
    source = open_source(tmp_path / "m.keras", labelled(tmp_path, "crane", "", "crane", "maillot", "tap"))
    assert source.spec.labels.names == ("crane (0)", "class (1)", "crane (2)", "maillot", "tap")


def test_what_export_json_hangs_on(tmp_path: Path) -> None:
    """Files, and what was said of them."""
    small_nets.build("residual").save(tmp_path / "m.keras")
    one, same = (open_source(tmp_path / "m.keras", HALF).digests() for _ in range(2))
    other = open_source(tmp_path / "m.keras", Hints(mean=(0.0,), std=(255.0,))).digests()
    assert one == same
    assert one["m.keras"] == other["m.keras"]
    assert one["specification"] != other["specification"]
