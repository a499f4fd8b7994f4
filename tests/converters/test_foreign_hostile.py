"""Graphs that ask for all memory, and Keras files that name what is not Keras's: one line that says which."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from converters.tensorflow import import_tensorflow
from runtime.quiet import quiet_stderr
from tests.converters.test_foreign_refused import HALF, graph_with, refused


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        ("Fill", "operation Fill 'bomb' makes a tensor of 100000 x 100000 (40 GB), which no picture classifier does"),
        ("Tile", "operation Tile 'bomb' makes a tensor of 100000000000 (400 GB), which no picture classifier does"),
    ],
)
def test_a_graph_that_asks_for_too_much_memory(tmp_path: Path, operation: str, told: str) -> None:
    def bomb(tf: Any, image: Any) -> Any:
        if operation == "Fill":
            huge = tf.raw_ops.Fill(dims=tf.constant([100_000, 100_000]), value=tf.constant(0.0), name="bomb")
        else:
            huge = tf.tile(tf.zeros([1000]), [100_000_000], name="bomb")
        return image + tf.reduce_sum(huge)

    line = refused(graph_with(tmp_path / "g.pb", bomb), **HALF)
    assert told in line
    assert "nothing of it was run" in line


def test_a_saved_model_that_asks_for_too_much_memory(tmp_path: Path) -> None:
    tf = import_tensorflow()
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")])
    def within(image: Any) -> Any:
        return image + tf.reduce_sum(tf.fill(tf.constant([100_000, 100_000]), 0.0))

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, name="image")])
    def classify(image: Any) -> Any:
        return {"scores": tf.nn.softmax(tf.reduce_mean(within(image), [1, 2]))}

    module.within, module.classify = within, classify
    with quiet_stderr():
        tf.saved_model.save(module, str(tmp_path / "sm"), signatures=classify)
    assert "makes a tensor of 100000 x 100000 (40 GB)" in refused(tmp_path / "sm", **HALF)


def of_layer(**layer: Any) -> dict[str, Any]:
    """The description of a model with one layer behind its input."""
    taken = {"batch_shape": [None, 8, 8, 3], "dtype": "float32", "name": "i"}
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": taken, "registered_name": None}
    config = {"name": "s", "layers": [first, {"config": {}, "registered_name": None} | layer]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (of_layer(module="os", class_name="getcwd"), "it names 'getcwd' of the module 'os', which is no part of Keras"),
        (of_layer(module="a" * 999, class_name="C\n"), "it names 'C' of the module 'aaaa"),
        (of_layer(module=17, class_name="C"), "it names 'C' of the module 17, which are no names"),
        (of_layer(module=None, class_name="C", registered_name="my>C"), "it names 'my>C', a class of somebody's own"),
        (of_layer(module="keras.layers", class_name="No"), "it names 'keras.layers.No', which is no layer or function"),
        (of_layer(module="builtins", class_name="eval"), "which is no layer or function"),
        ([1, 2], "the description of the model in it is damaged"),
    ],
)
def test_a_keras_file_that_names_odd_modules(tmp_path: Path, config: Any, told: str) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    line = refused(path)
    assert told in line
    assert "; save the model " in line
    assert len(line) < 600


def test_an_h5_file_that_names_a_layer_of_somebodys_own(tmp_path: Path) -> None:
    import h5py

    layers = [{"class_name": "MyLayer", "config": {"name": "m", "batch_input_shape": [None, 8, 8, 3]}}]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": layers}})
        file.create_group("model_weights")
    assert "it names 'MyLayer', which is no layer or function of Keras's" in refused(tmp_path / "m.h5")
