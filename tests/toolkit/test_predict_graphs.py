"""converters.inputs.graph_ends: both ends of a graph, and how it wants its pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.inputs.frozen_graph import read_graph
from converters.inputs.graph import Graph, TensorName, cut_out
from converters.inputs.graph_ends import Ends, find_ends
from converters.inputs.hints import Hints
from converters.inputs.pixels import choose_preprocessing
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError, UsageError
from tests.toolkit import predict_models as models


def ends(path: Path, **hints: Any) -> Ends:
    return find_ends(Graph(read_graph(path)), Hints(**hints), "g.pb")


def build(path: Path, make: Callable[[Any, Any], None]) -> Path:
    return models.write_graph(path, lambda tf: make(tf, tf.compat.v1.placeholder))


@pytest.mark.parametrize(
    ("text", "node", "index"),
    [("a/b", "a/b", 0), ("a/b:0", "a/b", 0), ("a:1", "a", 1), ("^a", "a", 0), ("a:b", "a:b", 0), (":0", ":0", 0)],
)
def test_names_of_tensors(text: str, node: str, index: int) -> None:
    assert TensorName.parse(text) == TensorName(node, index)


@pytest.mark.parametrize("name", ["input", "input:0", "import/input", "import/input:0"])
def test_names_as_people_type_them(tmp_path: Path, name: str) -> None:
    path = models.for_poets(tmp_path / "g.pb")
    assert ends(path, input_layer=name, output_layer="final_result:0").entry == TensorName("input")


@pytest.mark.parametrize("name", ["Mul", "inpt", "", ":0"])
def test_a_name_that_is_not_there(tmp_path: Path, name: str) -> None:
    path = models.for_poets(tmp_path / "g.pb")
    with pytest.raises(UsageError, match="--input-layer .*: the graph has no such node; it has .*input"):
        ends(path, input_layer=name)


def test_what_comes_before_the_input_is_cut_off(tmp_path: Path) -> None:
    """label_image.py's people fed ``Mul`` of the Inception graph: its decoder must not be there to run."""
    path = models.decodes_itself(tmp_path / "g.pb")
    found = ends(path, input_layer="Mul")
    assert (found.range.mean, found.range.std) == pytest.approx((128, 128))
    assert found.size == (32, 32)  # of the resize that is cut off
    part = cut_out(Graph(read_graph(path)), found.entry, [found.exit.node])
    assert {node.name: node.op for node in part.node}["Mul"] == "Placeholder"
    assert not [node.op for node in part.node if node.op in {"DecodeJpeg", "ResizeBilinear", "Sub"}]


@pytest.mark.parametrize(
    ("name", "declared", "mean", "std"), [("Mul", [1, 299, 299, 3], 128, 128), ("image", [None, None, None, 3], 0, 255)]
)
def test_what_names_tell(tmp_path: Path, name: str, declared: list[int | None], mean: float, std: float) -> None:
    def make(tf: Any, placeholder: Any) -> None:
        image = placeholder(tf.float32, declared, name=name)
        tf.nn.softmax(tf.matmul(tf.reduce_mean(tf.nn.relu(image), [1, 2]), models.kernel()), name="final_result")

    found = ends(build(tmp_path / "g.pb", make))
    chosen, _ = choose_preprocessing(Hints(), found.size, found.range, "g.pb")
    assert (chosen.height, chosen.width) == (299, 299)
    assert (chosen.mean[0], chosen.std[0]) == (mean, std)
    assert found.probability is True


def test_bytes_go_in_as_they_are(tmp_path: Path) -> None:
    def make(tf: Any, placeholder: Any) -> None:
        image = tf.cast(placeholder(tf.uint8, [1, 8, 8, 3], name="bytes"), tf.float32)
        tf.matmul(tf.reduce_mean(image, [1, 2]), models.kernel(), name="logits")

    found = ends(build(tmp_path / "g.pb", make))
    assert (found.uint8, found.probability, str(found.exit)) == (True, False, "logits:0")
    assert (found.range.mean, found.range.std) == (0, 1)


def test_other_placeholders_are_no_pictures(tmp_path: Path) -> None:
    def make(tf: Any, placeholder: Any) -> None:
        image = placeholder(tf.float32, [None, 8, 8, 3], name="photo")
        keep = placeholder(tf.float32, name="keep_prob")
        phase = placeholder(tf.bool, [], name="is_training")
        row = tf.reduce_mean(image, [1, 2]) * keep * tf.cast(phase, tf.float32)
        tf.nn.softmax(row, name="answer")

    assert str(ends(build(tmp_path / "g.pb", make)).entry) == "photo:0"


def test_a_decoder_comes_before_a_placeholder_of_unknown_shape(tmp_path: Path) -> None:
    def make(tf: Any, placeholder: Any) -> None:
        jpeg = tf.cast(tf.image.decode_jpeg(placeholder(tf.string), channels=3), tf.float32)
        image = tf.compat.v1.image.resize_bilinear(tf.expand_dims(jpeg, 0), [24, 16], name="resized")
        tf.nn.softmax(tf.reduce_mean(image / 255, [1, 2]) * placeholder(tf.float32, name="keep_prob"), name="answer")

    found = ends(build(tmp_path / "g.pb", make))
    assert (str(found.entry), found.size, found.range.std) == ("resized:0", (24, 16), 1)


def test_two_of_a_kind_must_be_named(tmp_path: Path) -> None:
    def make(tf: Any, placeholder: Any) -> None:
        image = placeholder(tf.float32, [None, 8, 8, 3], name="a") + placeholder(tf.float32, [None, 8, 8, 3], name="b")
        row = tf.reduce_mean(image, [1, 2])
        tf.nn.softmax(row, name="one")
        tf.nn.softmax(row * 2, name="two")

    path = build(tmp_path / "g.pb", make)
    with pytest.raises(ModelError, match=r"which node gives the scores \(one, two\); name it: --output-layer"):
        ends(path)
    with pytest.raises(ModelError, match=r"which node takes the picture \(a, b\); name it: --input-layer"):
        ends(path, output_layer="two")
    found = ends(path, output_layer="two", input_layer="b:0")
    assert (str(found.entry), str(found.exit)) == ("b:0", "two:0")


def test_ends_that_do_not_belong_together(tmp_path: Path) -> None:
    path = models.tf_hub(tmp_path / "g.pb")
    with pytest.raises(ModelError, match="DecodeJPGInput does not lead to final_result"):
        ends(path, input_layer="DecodeJPGInput")
    with pytest.raises(ModelError, match=r"must take pictures \(1, height, width, 3\)"):
        ends(models.decodes_itself(path), input_layer="DecodeJpeg/contents")


def test_a_ring_of_nodes_ends(tmp_path: Path) -> None:
    definition = import_tensorflow().compat.v1.GraphDef()
    definition.node.add(name="a", op="Identity", input=["b"])
    definition.node.add(name="b", op="Softmax", input=["a"])
    (tmp_path / "g.pb").write_bytes(definition.SerializeToString())
    with pytest.raises(ModelError, match="it is not clear which node"):
        ends(tmp_path / "g.pb")


@pytest.mark.parametrize(
    ("hints", "size", "expected"),
    [
        ({}, (None, None), (299, 299, 0, 255)),
        ({"height": 64}, (None, None), (64, 64, 0, 255)),
        ({"height": 64, "width": 32}, (None, None), (64, 32, 0, 255)),
        ({"mean": (128.0,)}, (8, 9), (8, 9, 128, 255)),
        ({"std": (128.0,)}, (8, 9), (8, 9, 0, 128)),
    ],
)
def test_label_images_defaults(hints: Any, size: Any, expected: tuple[float, ...]) -> None:
    from converters.inputs.pixels import UNIT_RANGE

    chosen, text = choose_preprocessing(Hints(**hints), size, UNIT_RANGE, "g.pb")
    assert (chosen.height, chosen.width, chosen.mean[0], chosen.std[0]) == expected
    assert ("as you say" in text) == bool({"mean", "std"} & set(hints))


@pytest.mark.parametrize("hints", [{"height": 9}, {"width": 0}, {"std": (0.0,)}, {"mean": (float("nan"),)}])
def test_sizes_and_numbers_that_cannot_be(hints: Any) -> None:
    from converters.inputs.pixels import UNIT_RANGE

    with pytest.raises(UsageError, match="--input-"):
        choose_preprocessing(Hints(**hints), (8, None), UNIT_RANGE, "g.pb")
