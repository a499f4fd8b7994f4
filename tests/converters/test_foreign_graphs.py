"""Frozen graphs of retrain.py and its relatives become ``.tflite`` files that give TensorFlow's scores."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.formats.frozen_graph import frozen_graph
from converters.formats.frozen_graph import write as write_frozen
from converters.inputs.hints import Hints
from converters.inputs.open_source import open_source
from runtime.errors import ModelError
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize
from tests.converters import old_graphs, small_nets
from tests.converters.old_graphs import LABELS, SIZE


@pytest.fixture
def labels(tmp_path: Path) -> Hints:
    (tmp_path / "output_labels.txt").write_text("\n".join(LABELS))
    return Hints(labels=str(tmp_path / "output_labels.txt"))


def convert(path: Path, hints: Hints) -> tuple[Any, Callable[[NDArray[Any]], NDArray[np.float32]]]:
    """The source, and a function from pictures to what its ``.tflite`` file gives."""
    source = open_source(path, hints)
    model = LoadedModel(source.float32())
    assert model.input_shape == (1, source.spec.preprocessing.height, source.spec.preprocessing.width, 3)

    def scores(images: NDArray[Any]) -> NDArray[np.float32]:
        return np.stack([model.run(normalize(image, source.spec.preprocessing)[None]) for image in images])

    return source, scores


def check(
    path: Path, hints: Hints, tensor: str, normalised: Callable[[NDArray[Any]], Any], normal: tuple[Any, Any]
) -> Any:
    """Compare a graph's file, source and traced function with TensorFlow's answers for the whole graph."""
    source, scores = convert(path, hints)
    assert (source.spec.preprocessing.mean[0], source.spec.preprocessing.std[0]) == pytest.approx(normal)
    assert source.spec.labels.names == LABELS
    images = source.check_pictures().images
    assert len(images) == 8
    wanted = np.concatenate([old_graphs.run(path, tensor, normalised(image[None])) for image in images])
    assert np.ptp(wanted, axis=0).max() > 0.05  # pictures make a difference
    assert np.abs(scores(images) - wanted).max() < 1e-5
    assert np.abs(source.scores(images) - wanted).max() < 1e-5
    function = source.traced("taken", "given")
    (signature,) = function.input_signature
    assert signature.name == "taken"
    batch = images if signature.shape[0] is None else images[:1]
    assert np.abs(function(normalize(batch, source.spec.preprocessing)) - wanted[: len(batch)]).max() < 1e-5
    return function


@pytest.mark.parametrize("batch", [None, 1])
def test_tf_for_poets_mobilenet(tmp_path: Path, labels: Hints, batch: int | None) -> None:
    path = old_graphs.poets_mobilenet(tmp_path / "retrained_graph.pb", batch)
    check(path, labels, "input:0", lambda x: (x - 127.5) / 127.5, (127.5, 127.5))


def test_tf_for_poets_inception(tmp_path: Path, labels: Hints) -> None:
    """It is cut behind the JPEG decoder and takes 0..255; what TensorFlow is given here is its resized picture."""
    path = old_graphs.poets_inception(tmp_path / "retrained_graph.pb")
    function = check(path, labels, "ResizeBilinear:0", lambda x: x.astype(np.float32), (0, 1))
    assert function.input_signature[0].shape[0] == 1  # its features are reshaped to one picture's


def test_the_inception_s_usual_input(tmp_path: Path, labels: Hints) -> None:
    """label_image.py's people named ``Mul``, which takes what is normalised already."""
    path = old_graphs.poets_inception(tmp_path / "retrained_graph.pb")
    hints = Hints(labels=labels.labels, input_layer="Mul", output_layer="final_result")
    check(path, hints, "Mul:0", lambda x: (x.astype(np.float32) - 128) / 128, (128, 128))


def test_whole_pictures_through_the_decoder(tmp_path: Path, labels: Hints) -> None:
    """The file's bytes into the graph's own decoder, against our pixels in the converted file."""
    path = old_graphs.poets_inception(tmp_path / "retrained_graph.pb")
    source, scores = convert(path, labels)
    image = source.check_pictures().images[0]
    data = io.BytesIO()
    Image.fromarray(image).save(data, "png")  # TensorFlow's decoder takes it, and loses nothing
    wanted = old_graphs.run(path, "DecodeJpeg/contents:0", data.getvalue())
    assert np.abs(scores(image[None]) - wanted).max() < 1e-4


@pytest.mark.parametrize("decoder", ["beside", "before"])
def test_tf_hub_s_retrain(tmp_path: Path, labels: Hints, decoder: str) -> None:
    path = old_graphs.hub_retrain(tmp_path / "output_graph.pb", decoder=decoder)
    assert b"DecodeJpeg" in path.read_bytes()
    check(path, labels, "Placeholder:0", lambda x: x.astype(np.float32) / 255, (0, 255))


def test_trained_for_8_bits(tmp_path: Path, labels: Hints) -> None:
    """``mobilenet_..._quantized``: the float file does not round; the source answers as the graph does."""
    path = old_graphs.hub_retrain(tmp_path / "output_graph.pb", module="8 bits")
    source, scores = convert(path, labels)
    images = source.check_pictures().images
    wanted = old_graphs.run(path, "Placeholder:0", images.astype(np.float32) / 255)
    assert np.abs(source.scores(images) - wanted).max() < 1e-5
    assert 0 < np.abs(scores(images) - wanted).max() < 0.05
    names = {tensor for tensor in ("QUANTIZE", "DEQUANTIZE") if tensor in _operators(source.float32(), tmp_path)}
    assert not names


def _operators(content: bytes, folder: Path) -> set[str]:
    from runtime.model_file import ModelFile

    (folder / "m.tflite").write_bytes(content)
    return {operator.name for operator in ModelFile.read(folder / "m.tflite").operators}


def test_branches_that_only_a_training_takes(tmp_path: Path, labels: Hints) -> None:
    path = old_graphs.keras_of_2018(tmp_path / "model.pb")
    assert b"Switch" in path.read_bytes()
    assert b"Merge" in path.read_bytes()
    check(path, labels, "input_1:0", lambda x: x.astype(np.float32) / 255, (0, 255))
    content = convert(path, labels)[0].float32()
    assert not _operators(content, tmp_path) & {"IF", "WHILE", "SELECT", "SELECT_V2", "RANDOM_UNIFORM"}


def test_our_own_output_graph(tmp_path: Path) -> None:
    """What ``toolkit train --output-graph`` writes."""
    model = small_nets.build("residual")
    (tmp_path / "graph.pb").write_bytes(frozen_graph(model))
    source, scores = convert(tmp_path / "graph.pb", Hints())
    images = source.check_pictures().images
    wanted = np.asarray(model([normalize(images, source.spec.preprocessing)], training=False))
    assert np.abs(scores(images) - wanted).max() < 1e-5
    assert source.spec.labels.names == tuple(map(str, range(small_nets.CLASSES)))
    assert source.output_folder() == tmp_path / "graph_export"


def test_a_size_is_fixed(tmp_path: Path, labels: Hints) -> None:
    """Of a graph that takes any: the one that is said, else ImageNet's."""
    tf = old_graphs.import_tensorflow()

    def build(height: int | None) -> Any:
        graph = tf.Graph()
        with graph.as_default():
            image = tf.compat.v1.placeholder(tf.float32, [None, height, None, 3], name="input")
            tf.nn.softmax(tf.reduce_mean(image, [1, 2]), name="final_result")
        (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
        return tmp_path / "g.pb"

    source, _ = convert(build(None), labels)
    assert (source.spec.preprocessing.height, source.spec.preprocessing.width) == (224, 224)
    source, _ = convert(build(SIZE), Hints(labels=labels.labels, width=32))
    assert (source.spec.preprocessing.height, source.spec.preprocessing.width) == (SIZE, 32)


@pytest.mark.parametrize("through", ["cast", "more"])
def test_bytes_in(tmp_path: Path, labels: Hints, through: str) -> None:
    """A graph that takes uint8: no conversion to bytes and back is left where it only made them float."""
    tf = old_graphs.import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.uint8, [1, SIZE, SIZE, 3], name="image_tensor")
        if through == "more":
            image = tf.reverse(image, [3])
        tf.nn.softmax(tf.reduce_mean(tf.cast(image, tf.float32), [1, 2]) / 40, name="scores")
    path = tmp_path / "g.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    source, scores = convert(path, labels)
    assert (source.spec.preprocessing.mean[0], source.spec.preprocessing.std[0]) == (0, 1)
    images = source.check_pictures().images
    wanted = np.concatenate([old_graphs.run(path, "image_tensor:0", i[None], output="scores:0") for i in images])
    assert np.abs(scores(images) - wanted).max() < 1e-5
    assert ("CAST" in _operators(source.float32(), tmp_path)) == (through == "more")


def rewrite(path: Path, change: Callable[[Any, Any], None]) -> Path:
    """Change a graph's definition in its file."""
    from converters.tensorflow import import_tensorflow

    tf = import_tensorflow()
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    change(tf, definition)
    path.write_bytes(definition.SerializeToString())
    return path


def add_answer(tf: Any, definition: Any, scores: str, cast: bool) -> None:
    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder(tf.float32, [None, 3], name="given")
        best = tf.argmax(given, 1, name="prediction")
        if cast:
            tf.cast(best, tf.int32, name="prediction_int")
    for node in graph.as_graph_def().node:
        if node.name != "given":
            node.input[:] = [scores if source == "given" else source for source in node.input]
            definition.node.add().CopyFrom(node)


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("ends_in", ["softmax", "logits"])
def test_scores_before_an_answer(tmp_path: Path, labels: Hints, ends_in: str, cast: bool) -> None:
    """Graphs of TensorFlow 1 often end in ArgMax."""
    path = old_graphs.poets_mobilenet(tmp_path / "m.pb")
    wanted = "probabilities:0" if ends_in == "softmax" else "final_retrain_ops/add:0"

    def change(tf: Any, definition: Any) -> None:
        (softmax,) = (node for node in definition.node if node.name == "final_result")
        if ends_in == "softmax":
            softmax.name = "probabilities"
        else:
            definition.node.remove(softmax)
        add_answer(tf, definition, wanted.partition(":")[0], cast)

    rewrite(path, change)
    told: list[str] = []
    source = open_source(path, labels, notify=told.append)
    images = source.check_pictures().images
    given = np.concatenate(
        [
            old_graphs.run(path, "input:0", normalize(image, source.spec.preprocessing)[None], output=wanted)
            for image in images
        ]
    )
    if ends_in == "logits":
        given = np.exp(given) / np.exp(given).sum(axis=1, keepdims=True)
    assert np.abs(source.scores(images) - given).max() < 1e-5
    assert any(f"-> {wanted};" in line for line in told)
    assert "the graph makes an answer of its scores with prediction (ArgMax); the scores before it are taken" in told
    said = Hints(labels=labels.labels, output_layer="prediction")
    with pytest.raises(
        ModelError, match=f"gives an answer and not the scores behind it; --output-layer {wanted[:-2]} "
    ):
        open_source(path, said)


@pytest.mark.parametrize(
    ("shape", "dtype", "why"),
    [
        (
            (None, 3, SIZE, SIZE),
            "float32",
            f"float32 .any, 3, {SIZE}, {SIZE}., channels first .NCHW.: freeze the model",
        ),
        (
            (None, SIZE, SIZE, 1),
            "float32",
            f"float32 .any, {SIZE}, {SIZE}, 1., grey pictures: train the model with three",
        ),
        ((None, SIZE, SIZE, 4), "float32", "pictures of 4 channels"),
        ((8, SIZE, SIZE, 3), "float32", "8 pictures at a time"),
        ((None, SIZE * SIZE * 3), "float32", f"float32 .any, {SIZE * SIZE * 3}.;"),
        ((None, SIZE, SIZE, 3), "int32", f"int32 .any, {SIZE}, {SIZE}, 3.;"),
    ],
)
def test_an_input_that_takes_no_pictures(tmp_path: Path, shape: tuple[Any, ...], dtype: str, why: str) -> None:
    from converters.tensorflow import import_tensorflow

    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        given = tf.compat.v1.placeholder(dtype, shape, name="pixels")
        flat = tf.reshape(tf.cast(given, tf.float32), [-1, int(np.prod(shape[1:]))])
        tf.nn.softmax(tf.matmul(flat, tf.ones([flat.shape[1], 3])), name="final_result")
    path = tmp_path / "m.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(ModelError, match=f"pixels takes .*{why}.*--input-layer") as caught:
        open_source(path)
    assert "none" not in str(caught.value)
    with pytest.raises(ModelError, match="must take pictures"):
        open_source(path, Hints(input_layer="pixels"))


@pytest.mark.parametrize("version", [1, 2])
def test_a_graph_with_a_loop(tmp_path: Path, version: int) -> None:
    """Both ways that TensorFlow has written loops become a file, and a graph again."""
    from converters.tensorflow import import_tensorflow

    tf = import_tensorflow()
    kernel = np.random.default_rng(0).normal(0, 2, (3, 3)).astype(np.float32)
    choose = tf.compat.v1.enable_control_flow_v2 if version == 2 else tf.compat.v1.disable_control_flow_v2
    choose()
    try:
        with tf.Graph().as_default() as graph:
            image = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="input")
            x, weights = tf.reduce_mean(image, [1, 2]), tf.constant(kernel)
            _, x = tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, tf.tanh(x @ weights)), [0, x])
            tf.nn.softmax(x, name="final_result")
            definition = graph.as_graph_def()
    finally:
        tf.compat.v1.enable_control_flow_v2()
    assert any(node.op == "Enter" for node in definition.node) == (version == 1)
    path = tmp_path / "m.pb"
    path.write_bytes(definition.SerializeToString())
    source, scores = convert(path, Hints())
    images = source.check_pictures().images
    normalised = normalize(images, source.spec.preprocessing)
    wanted = old_graphs.run(path, "input:0", normalised)
    assert np.ptp(wanted, axis=0).max() > 0.05
    assert np.abs(source.scores(images) - wanted).max() < 1e-5
    assert np.abs(scores(images) - wanted).max() < 1e-5
    write_frozen(source, tmp_path, "again")
    again = [old_graphs.run(tmp_path / "again.pb", "input:0", image[None]) for image in normalised]
    assert np.abs(np.concatenate(again) - wanted).max() < 1e-5


def test_a_loop_over_constants_in_a_saved_model(tmp_path: Path) -> None:
    """What a loop takes in from outside is not computed beforehand: it is within the loop."""
    from converters.tensorflow import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    module.weights = tf.Variable(np.eye(3, dtype=np.float32) * 2)

    def forward(image: Any) -> Any:
        _, x = tf.while_loop(
            lambda i, _: i < 3, lambda i, x: (i + 1, tf.tanh(x @ module.weights)), [0, tf.reduce_mean(image, [1, 2])]
        )
        return {"scores": tf.nn.softmax(x)}

    module.forward = tf.function(forward, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "sm"), signatures=module.forward)
    source = open_source(tmp_path / "sm")
    write_frozen(source, tmp_path, "again")
    images = source.check_pictures().images
    given = old_graphs.run(tmp_path / "again.pb", "input:0", normalize(images, source.spec.preprocessing))
    assert np.abs(given - source.scores(images)).max() < 1e-5


def test_folders_that_are_called_by_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_nets.build("residual").export(tmp_path / "flowers", verbose=False)
    (tmp_path / "flowers" / "deep").mkdir()
    for here, said in (("flowers", "."), ("flowers/deep", "..")):
        monkeypatch.chdir(tmp_path / here)
        source = open_source(Path(said))
        assert (source.output_folder(), source.spec.name) == (tmp_path / "flowers_export", "flowers")
