"""Files that are damaged, pretend to be something else, or want to do something: one line, nothing done."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.tensorflow import import_tensorflow
from tests.toolkit import predict_models as models
from tests.toolkit.predict_models import toolkit


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.colour_pictures(tmp_path_factory.mktemp("colours")) / "red.png"


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], picture: Path) -> Callable[..., str]:
    """A function that predicts with a model and returns the one line it is refused with."""

    def run(*words: object, code: int = 1) -> str:
        assert toolkit("predict", picture, *words) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        *others, line = captured.err.splitlines()
        assert line.startswith("toolkit: error: ")
        assert not [other for other in others if "error" in other.lower()]
        return line

    return run


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["m.pb", "m.keras", "m.h5", "m.tflite", "saved_model.pb", "m.pbtxt"])
def test_a_pickle_in_disguise(tmp_path: Path, refused: Callable[..., str], name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Evil(tmp_path / "done")))
    line = refused("--model", tmp_path / name)
    assert str(tmp_path) in line
    assert "looks like data of an unknown kind" in line
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("name", ["m.pb", "m.keras", "m.h5", "m.tflite", "saved_model.pb"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"<html>404</html>", bytes(2000)])
def test_no_model_at_all(tmp_path: Path, refused: Callable[..., str], name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert str(tmp_path) in refused("--model", tmp_path / name)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_short(tmp_path: Path, refused: Callable[..., str], share: float) -> None:
    model = models.keras_model()
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "sm", verbose=False)
    for path in (models.for_poets(tmp_path / "m.pb"), tmp_path / "m.keras", tmp_path / "sm" / "saved_model.pb"):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        assert str(path.parent) in refused("--model", path)


def test_a_saved_model_without_its_variables(tmp_path: Path, refused: Callable[..., str]) -> None:
    models.keras_model().export(tmp_path / "sm", verbose=False)
    (tmp_path / "sm" / "variables" / "variables.index").unlink()
    assert "TensorFlow cannot load the model" in refused("--model", tmp_path / "sm")


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_code_in_a_keras_file(tmp_path: Path, refused: Callable[..., str], ending: str) -> None:
    import keras
    from keras.src.legacy.saving import legacy_h5_format

    done = tmp_path / "done"
    target = str(done)  # a Path would not be saved
    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: (Path(target).touch(), x)[1])]
    model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D()])
    done.unlink()
    path = tmp_path / f"m.{ending}"
    if ending == "keras":
        model.save(path)
    else:
        legacy_h5_format.save_model_to_hdf5(model, str(path))
    assert "it carries Python code (a Lambda layer), which is not run" in refused("--model", path)
    assert not done.exists()


def test_weights_without_a_model(tmp_path: Path, refused: Callable[..., str]) -> None:
    models.keras_model().save_weights(tmp_path / "m.weights.h5")
    assert "it holds weights and no model; `--architecture NAME" in refused("--model", tmp_path / "m.weights.h5")


def graph_with(path: Path, act: Callable[[Any], Any]) -> Path:
    """A classifier that does something before it answers."""

    def build(tf: Any) -> None:
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        with tf.control_dependencies([act(tf)]):
            tf.nn.softmax(tf.reduce_mean(image, [1, 2]), name="final_result")

    return models.write_graph(path, build)


@pytest.mark.parametrize("operation", ["WriteFile", "ReadFile", "PrintV2", "EagerPyFunc"])
def test_a_graph_that_does_more_than_compute(tmp_path: Path, refused: Callable[..., str], operation: str) -> None:
    target = str(tmp_path / "done")
    actions: dict[str, Callable[[Any], Any]] = {
        "WriteFile": lambda tf: tf.io.write_file(target, tf.constant("x")),
        "ReadFile": lambda tf: tf.io.read_file("/etc/hostname"),
        "PrintV2": lambda tf: tf.print("x", output_stream="file://" + target),
        "EagerPyFunc": lambda tf: tf.py_function(lambda: Path(target).touch(), [], []),
    }
    line = refused("--graph", graph_with(tmp_path / "g.pb", actions[operation]))
    assert f"its operation {operation} does more than compute" in line
    assert not (tmp_path / "done").exists()


def test_an_operation_nobody_knows(
    tmp_path: Path, refused: Callable[..., str], picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused where the scores need it, and left out where they do not."""
    path = graph_with(tmp_path / "g.pb", lambda tf: tf.constant(1.0))
    definition = import_tensorflow().compat.v1.GraphDef.FromString(path.read_bytes())
    definition.node.add(name="aside", op="EvilOp")
    path.write_bytes(definition.SerializeToString())
    assert toolkit("predict", "--graph", path, picture) == 0
    capsys.readouterr()
    for node in definition.node:
        node.op = "EvilOp" if node.op == "Mean" else node.op
    path.write_bytes(definition.SerializeToString())
    assert "its operation EvilOp is none that this TensorFlow knows" in refused("--graph", path)


@pytest.mark.parametrize("when", ["loaded", "run"])
def test_a_saved_model_that_writes_a_file(tmp_path: Path, refused: Callable[..., str], when: str) -> None:
    tf = import_tensorflow()
    from tensorflow.python.trackable.resource import CapturableResource

    target = str(tmp_path / "done")

    class Table(CapturableResource):  # type: ignore[misc]
        """The loader calls ``_initialize`` by itself."""

        def _create_resource(self) -> Any:
            return tf.constant(0)

        def _initialize(self) -> Any:
            tf.io.write_file(target, "x")
            return tf.constant(1)

    class Model(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(models.kernel())
            self.table = Table() if when == "loaded" else None

        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])  # type: ignore[untyped-decorator]
        def __call__(self, image: Any) -> Any:
            if when == "run":
                tf.io.write_file(target, "x")
            return {"scores": tf.nn.softmax(tf.matmul(tf.reduce_mean(image, [1, 2]), self.weights))}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "sm"), signatures=model.__call__.get_concrete_function())
    Path(target).unlink(missing_ok=True)
    assert "its operation WriteFile does more than compute" in refused("--model", tmp_path / "sm")
    assert not Path(target).exists()


@pytest.mark.parametrize("count", [2, 4])
def test_labels_that_do_not_fit(tmp_path: Path, refused: Callable[..., str], count: int) -> None:
    (tmp_path / "names").write_text("".join(f"{number}\n" for number in range(count)))
    models.keras_model().save(tmp_path / "m.keras")
    for model in (models.for_poets(tmp_path / "m.pb"), tmp_path / "m.keras"):
        line = refused("--model", model, "--labels", tmp_path / "names")
        assert f"names has {count} labels, {model} gives 3 scores" in line
    assert "--labels imagenet has 1000 names" in refused("--model", model, "--labels", "imagenet")


def test_scores_that_are_no_numbers(tmp_path: Path, refused: Callable[..., str]) -> None:
    model = models.keras_model(activation="linear")
    model.layers[-1].set_weights([models.kernel() * np.float32("nan"), np.zeros(3, np.float32)])
    model.save(tmp_path / "m.keras")
    assert "the model gives scores that are no numbers" in refused("--model", tmp_path / "m.keras")


def test_a_model_for_something_else(tmp_path: Path, refused: Callable[..., str]) -> None:
    import keras

    keras.Sequential([keras.Input((7,)), keras.layers.Dense(2)]).save(tmp_path / "a.keras")
    assert "is no picture classifier: its input has shape (None, 7)" in refused("--model", tmp_path / "a.keras")
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)]).save(tmp_path / "b.keras")
    assert "is no classifier: its output has shape" in refused("--model", tmp_path / "b.keras")
