"""pb, saved_model and keras of any source: loaded again by TensorFlow, run, compared."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.formats import frozen_graph, keras_file, saved_model
from converters.formats.tracing import traced_model
from runtime.errors import DataError, ModelError, UsageError
from runtime.preprocess import normalize
from runtime.spec import LabelList, ModelSpec
from tests.conftest import ROOT
from tests.converters import small_nets

pytest.importorskip("tensorflow")
PIXELS = small_nets.pixels(127.5, 127.5)
LABELS = ("Gänseblümchen", "two\nlines", "<script>", "向日葵", "e")
SPEC = ModelSpec("x", "small", "single-label", PIXELS, LabelList(LABELS))
WRITERS = {"pb": frozen_graph.write, "saved_model": saved_model.write, "keras": keras_file.write}


class KerasSource:
    """A source with a Keras model behind it."""

    def __init__(self, kind: str = "residual") -> None:
        self.spec = SPEC
        self.model = small_nets.build(kind)

    def traced(self, input_name: str, output_name: str) -> Any:
        return traced_model(self.model, input_name=input_name, output_name=output_name)

    def keras_model(self) -> Any | None:
        return self.model

    def scores(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.model([pixels], training=False))


class ForeignSource:
    """A graph of somebody else's: a loaded SavedModel with variables, and calls, around which a softmax is put."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        class Foreign(tf.Module):
            def __init__(self) -> None:
                super().__init__()
                self.kernel = tf.Variable(tf.random.stateless_normal((3, 3, 3, 5), (1, 2)))
                self.bias = tf.Variable(tf.zeros(5))

            @tf.function(input_signature=[tf.TensorSpec((None, 24, 24, 3))])
            def __call__(self, image: Any) -> Any:
                return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, self.kernel, 2, "SAME") + self.bias), (1, 2)) * 9

        tf.saved_model.save(Foreign(), str(folder))
        self.spec = SPEC
        self.loaded = tf.saved_model.load(str(folder))

    def traced(self, input_name: str, output_name: str) -> Any:
        import tensorflow as tf

        signature = [tf.TensorSpec((None, 24, 24, 3), tf.float32, name=input_name)]
        return tf.function(lambda x: tf.identity(tf.nn.softmax(self.loaded(x)), name=output_name), signature)

    def keras_model(self) -> Any | None:
        return None

    def scores(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.traced("x", "y")(pixels))


class TfliteSource:
    """What a ``.tflite`` file can give."""

    spec = SPEC

    def traced(self, _input_name: str, _output_name: str) -> Any:
        raise ModelError("a .tflite file cannot be turned into TensorFlow operations")

    def keras_model(self) -> Any | None:
        return None


@pytest.fixture(scope="module", params=["keras", "foreign"])
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return KerasSource() if request.param == "keras" else ForeignSource(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float32]:
    return normalize(small_nets.pictures(7), PIXELS)


def same(given: NDArray[Any], expected: NDArray[np.float32]) -> bool:
    assert np.ptp(expected, axis=0).max() > 1e-2, "pictures with one answer would prove nothing"
    return bool(np.abs(given - expected).max() < 1e-5)


def test_pb(source: Any, pixels: NDArray[np.float32], tmp_path: Path) -> None:
    import tensorflow as tf

    written = frozen_graph.write(source, tmp_path / "new 花", "x")
    assert [path.name for path in written] == ["x.pb", "x_labels.txt", "x_spec.json"]
    graph_def, expected = tf.compat.v1.GraphDef.FromString(written[0].read_bytes()), source.scores(pixels)
    assert not graph_def.library.function
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        assert same(session.run("final_result:0", {"input:0": pixels}), expected)
    assert written[1].read_text(encoding="utf-8").splitlines() == [LABELS[0], r"two\nlines", *LABELS[2:]]
    assert ModelSpec.from_json(written[2].read_bytes()) == SPEC


def test_saved_model(source: Any, pixels: NDArray[np.float32], tmp_path: Path) -> None:
    import tensorflow as tf

    for _ in range(2):  # the second replaces the first
        (folder,) = saved_model.write(source, tmp_path, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x_saved_model"]
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    assert same(signature(image=tf.constant(pixels))["scores"].numpy(), source.scores(pixels))
    assert ModelSpec.from_json((folder / "assets.extra" / "spec.json").read_bytes()) == SPEC
    assert (folder / "assets.extra" / "labels.txt").read_text(encoding="utf-8").count("\n") == len(LABELS)


def test_keras(pixels: NDArray[np.float32], tmp_path: Path) -> None:
    import keras

    source = KerasSource()
    written = keras_file.write(source, tmp_path, "x")
    assert [path.name for path in written] == ["x.keras", "x_labels.txt", "x_spec.json"]
    model = keras.saving.load_model(written[0], compile=False, safe_mode=True)
    assert same(np.asarray(model([pixels], training=False)), source.scores(pixels))


def test_keras_of_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--formats keras needs a Keras model"):
        keras_file.write(TfliteSource(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_keras_that_cannot_be_saved(tmp_path: Path) -> None:
    class Broken(KerasSource):
        def keras_model(self) -> Any:
            class Model:
                def save(self, _path: Path) -> None:
                    raise NotImplementedError("a layer without get_config\nand more")

            return Model()

    with pytest.raises(ModelError, match="Keras cannot save the model: a layer without get_config$"):
        keras_file.write(Broken(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pb", "saved_model"])
def test_what_is_none_of_tensorflows(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be turned into TensorFlow operations"):
        WRITERS[kind](TfliteSource(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["pb", "saved_model"])
def test_what_tensorflow_cannot_write(kind: str, tmp_path: Path) -> None:
    class Strange(KerasSource):
        def traced(self, input_name: str, output_name: str) -> Any:
            import tensorflow as tf

            table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([0, 1], [1.0, 2.0]), 0.0)
            signature = [tf.TensorSpec((None, 24, 24, 3), tf.float32, name=input_name)]

            def forward(image: Any) -> Any:
                place = tf.cast(tf.reduce_mean(image, (1, 2)), tf.int32)
                return tf.identity(table.lookup(place), name=output_name)

            return tf.function(forward, signature)

    with pytest.raises(
        ModelError, match=r"^TensorFlow cannot save the model: \S|^the model keeps values in (HashTableV2|Placeholder) "
    ):
        WRITERS[kind](Strange(), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_a_file_is_in_the_way(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((DataError, UsageError), match="file"):
        WRITERS[kind](KerasSource(), tmp_path / "file", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_holds_something_else_stays(tmp_path: Path) -> None:
    (tmp_path / "x_saved_model").mkdir()
    (tmp_path / "x_saved_model" / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"^--formats saved_model: .* holds mine\.txt"):
        saved_model.write(KerasSource(), tmp_path, "x")
    assert (tmp_path / "x_saved_model" / "mine.txt").exists()


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = KerasSource()
    (first,) = keras_file.write(source, tmp_path / "a", "x")[:1]
    time.sleep(2.1)  # zip archives count in steps of two seconds
    (second,) = keras_file.write(source, tmp_path / "b", "x")[:1]
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert json.loads(archive.read("metadata.json"))["date_saved"] == "1980-01-01@00:00:00"
    assert frozen_graph.write(source, tmp_path / "a", "x")[0].read_bytes() == (
        frozen_graph.write(source, tmp_path / "b", "x")[0].read_bytes()
    )


@pytest.mark.slow
def test_two_runs_give_one_saved_model(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from tests.converters.test_tensorflow_formats import KerasSource, saved_model\n"
        "saved_model.write(KerasSource(), Path(sys.argv[1]), 'x')\n"
    )
    runs = []
    for name in ("a", "b"):
        command = [sys.executable, "-c", script, str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        runs.append(dict(zip([str(path.relative_to(tmp_path / name)) for path in files], digests, strict=True)))
    assert runs[0] == runs[1]
    assert len(runs[0]) >= 6
