"""The frozen graph, read as people have read them since TensorFlow 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.bundle import ModelBundle
from converters.formats.constant_folding import fold_constants
from converters.formats.frozen_graph import check_output_name, frozen_graph
from runtime.errors import UsageError
from runtime.preprocess import normalize
from tests.converters import small_nets

pytest.importorskip("tensorflow")
# What a graph for inference is made of: nothing with state, no branches, no calls, nothing left to compute beforehand.
PLAIN = {"Placeholder", "Const", "Identity", "Mul", "Add", "Relu", "Relu6", "Conv2D", "BiasAdd", "MatMul", "Mean"}
PLAIN |= {"DepthwiseConv2dNative", "Softmax", "Sigmoid", "ConcatV2", "AvgPool", "RealDiv"}


def old_script(graph: bytes, output: str, pixels: NDArray[np.float32], scratch: Path) -> NDArray[np.float32]:
    """What the old script gives, in a process of its own."""
    (scratch / "g.pb").write_bytes(graph)
    np.save(scratch / "in.npy", pixels)
    script = Path(__file__).with_name("label_image.py")
    words = [scratch / "g.pb", "input", output, scratch / "in.npy", scratch / "out.npy"]
    subprocess.run([sys.executable, str(script), *map(str, words)], check=True, capture_output=True)
    result: NDArray[np.float32] = np.load(scratch / "out.npy")
    return result


def parsed(graph: bytes) -> Any:
    import tensorflow as tf

    return tf.compat.v1.GraphDef.FromString(graph)


def in_a_session(frozen: bytes, pixels: NDArray[np.float32]) -> Any:
    """What the graph gives in this process."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(parsed(frozen), name="")
        assert graph.get_tensor_by_name("input:0").shape.as_list() == [None, *pixels.shape[1:]]
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run("final_result:0", {"input:0": pixels})


def test_the_bundle_and_the_old_script_agree(small_bundle: Path, tmp_path: Path) -> None:
    bundle = ModelBundle.load(small_bundle)
    model = bundle.keras_model()
    pixels = normalize(bundle.test_pictures().images, bundle.spec.preprocessing)
    expected = np.asarray(model([pixels], training=False))
    given = old_script(frozen_graph(model), "final_result", pixels, tmp_path)
    assert np.abs(given - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).max() > 1e-3, "pictures with one answer would prove nothing"


@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish"])
def test_nothing_but_plain_nodes(kind: str) -> None:
    graph = parsed(frozen_graph(small_nets.build(kind), "scope/out-put.1"))
    assert {node.op for node in graph.node} <= PLAIN
    assert not graph.library.function
    assert [node.name for node in graph.node if node.op == "Placeholder"] == ["input"]
    assert [node.name for node in graph.node if node.op == "Identity"] == ["scope/out-put.1"]
    assert not any(name.startswith("_") or name == "grad_a" for node in graph.node for name in node.attr)


def test_a_session_takes_batches() -> None:
    model, pictures = small_nets.build("residual"), small_nets.pictures(7)
    pixels = normalize(pictures, small_nets.pixels(127.5, 127.5))
    given = in_a_session(frozen_graph(model), pixels)
    assert np.abs(given - np.asarray(model([pixels], training=False))).max() < 1e-5


def test_opencv_reads_it(small_bundle: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    bundle = ModelBundle.load(small_bundle)
    model = bundle.keras_model()
    pixels = normalize(bundle.test_pictures().images[:1], bundle.spec.preprocessing)
    net = cv2.dnn.readNetFromTensorflow(np.frombuffer(frozen_graph(model), np.uint8))
    net.setInput(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    assert np.abs(net.forward() - np.asarray(model([pixels], training=False))).max() < 1e-5


def test_what_follows_from_constants_is_one() -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        two = tf.constant([2.0, 3.0], name="two")
        image = tf.compat.v1.placeholder(tf.float32, (None, 2), name="input")
        tf.add(image * tf.math.rsqrt(two + 2.0), tf.reverse(two, [0]), name="sum")
        tf.add(two, 1.0, name="unused")
    folded = fold_constants(graph.as_graph_def(), "sum")
    assert sorted(node.op for node in folded.node) == ["AddV2", "Const", "Const", "Mul", "Placeholder"]
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.import_graph_def(folded, name="")
        given = session.run("sum:0", {"input:0": [[2.0, 0.0]]})
    assert given.tolist() == [[4.0, 2.0]]


def test_sigmoid_and_a_hidden_layer() -> None:
    import keras

    source = keras.Input((8, 8, 3))
    hidden = keras.layers.Dense(4, activation="relu")(keras.layers.GlobalAveragePooling2D()(source))
    model = keras.Model(source, keras.layers.Dense(3, activation="sigmoid")(keras.layers.Dropout(0.5)(hidden)))
    graph = frozen_graph(model)
    assert {node.op for node in parsed(graph).node} <= PLAIN, "dropout is left out"
    pixels = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    given = in_a_session(graph, pixels)
    assert np.abs(given - np.asarray(model(pixels, training=False))).max() < 1e-5


def test_the_same_bytes_each_time() -> None:
    model = small_nets.build("concat")
    assert frozen_graph(model) == frozen_graph(model)


@pytest.mark.parametrize("name", ["", "input", "two words", "final_result:0", "_x", "ü", "a\n"])
def test_names_that_no_node_can_have(name: str) -> None:
    with pytest.raises(UsageError, match="--final-tensor-name .* cannot name a node"):
        check_output_name(name)
