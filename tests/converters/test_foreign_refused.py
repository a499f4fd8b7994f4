"""What is no model to convert is refused in one line: nothing is run, nothing is left lying about."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.formats.tflite import convert_float32
from converters.inputs.hints import Hints
from converters.inputs.open_source import open_source
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, UsageError
from tests.converters import old_graphs, small_nets

HALF = {"mean": (127.5,), "std": (127.5,)}


def refused(path: Path, *, code: int = 1, **said: Any) -> str:
    """The line that a conversion is refused with; the folder holds what it held."""
    folder = path.parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(EdgeExportError) as caught:
        open_source(path, Hints(**said)).float32()
    assert sorted(folder.rglob("*")) == before
    line = str(caught.value)
    assert caught.value.exit_code == code
    assert line.isprintable()
    return line


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["m.pb", "m.keras", "m.h5", "m.tflite", "saved_model.pb"])
def test_no_model_at_all(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Evil(tmp_path / "done")))
    assert "looks like data of an unknown kind" in refused(path)
    assert not (tmp_path / "done").exists()
    for content in (b"", b"<html>404</html>", bytes(2000)):
        path.write_bytes(content)
        assert str(tmp_path) in refused(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each kind."""
    folder, model = tmp_path_factory.mktemp("written"), small_nets.build("residual")
    model.save(folder / "m.keras")
    model.export(folder / "sm", verbose=False)
    (folder / "m.tflite").write_bytes(convert_float32(model))
    old_graphs.poets_mobilenet(folder / "m.pb")
    return folder


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_short(written: Path, tmp_path: Path, share: float) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / name for name in ("m.keras", "sm/saved_model.pb", "m.tflite", "m.pb")):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        assert str(path.parent) in refused(path)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_short_h5(tmp_path: Path, share: float) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path / "m.h5"
    legacy_h5_format.save_model_to_hdf5(small_nets.build("concat"), str(path))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    line = refused(path)
    assert line == f"{path} is damaged or cut short: its HDF5 cannot be read; copy it again"


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ({"std": (0.0,)}, "--input-std 0: std must be positive"),
        ({"mean": (1.0,), "std": (1.0, 0.0, 1.0)}, "--input-std 1,0,1: std must be positive"),
        ({"mean": (float("nan"),), "std": (1.0,)}, "--input-mean nan: mean must be "),
        ({"height": 0}, "--input-height 0: "),
        ({"width": 10**9}, "--input-width 1000000000: "),
    ],
)
def test_the_option_that_is_to_blame(tmp_path: Path, said: dict[str, Any], blamed: str) -> None:
    keras = pytest.importorskip("keras")
    source = keras.Input((None, None, 3))
    features = keras.layers.GlobalAveragePooling2D()(source)
    keras.Model(source, keras.layers.Dense(3, activation="softmax")(features)).save(tmp_path / "m.keras")
    assert refused(tmp_path / "m.keras", code=2, **said).startswith(blamed)


def test_a_tflite_file_is_called_what_the_user_calls_it(thirdparty: Path) -> None:
    """It is read from a copy."""
    path = thirdparty / "model_invoking_error.tflite"
    assert refused(path).startswith(f"{path}: is no picture classifier")


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "no such file or folder" in refused(tmp_path / "none.pb", code=2)
    (tmp_path / "folder.keras").mkdir()
    assert "holds no model: neither a bundle" in refused(tmp_path / "folder.keras", code=2)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "spec.json").write_text("{}")
    assert "is a bundle" in refused(tmp_path / "bundle", code=2)
    (tmp_path / "cat.pb.txt").write_text("meow")
    assert "looks like a text file; it takes a bundle, .keras" in refused(tmp_path / "cat.pb.txt", code=2)


def test_which_of_several_files(tmp_path: Path) -> None:
    content = convert_float32(small_nets.build("residual"))
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / "two" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "two" / name).write_bytes(content)
    assert r"two holds 2 .tflite files (a.tflite, b.tflite); name the one" in refused(tmp_path / "two", code=2)
    (tmp_path / "two" / "a.tflite").unlink()
    assert open_source(tmp_path / "two", Hints(**HALF)).spec.name == "b"


def test_integers_need_pictures(tmp_path: Path) -> None:
    """Told before anything is loaded."""
    path = old_graphs.poets_mobilenet(tmp_path / "m.pb")
    with pytest.raises(UsageError, match=r"m.pb carries no pictures, and an integer model's .*--calibration-dir DIR"):
        open_source(path, quantized=True)


def test_code_in_a_keras_file(tmp_path: Path) -> None:
    import keras

    done = tmp_path / "done"
    target = str(done)
    layers = [keras.Input((8, 8, 3)), keras.layers.Lambda(lambda x: (Path(target).touch(), x)[1])]
    keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D()]).save(tmp_path / "m.keras")
    done.unlink()
    assert "it carries Python code (a Lambda layer), which is not run" in refused(tmp_path / "m.keras")
    assert not done.exists()


def test_a_zip_bomb_as_a_keras_file(tmp_path: Path) -> None:
    small_nets.build("residual").save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(200_000_000))
    assert "unpacks to 200 MB, which no model does; refused" in refused(tmp_path / "m.keras")


@pytest.mark.parametrize("how", ["bomb", "link", "external"])
def test_an_h5_file_that_holds_too_much_or_reaches_out(tmp_path: Path, how: str) -> None:
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path / "m.h5"
    legacy_h5_format.save_model_to_hdf5(small_nets.build("concat"), str(path))
    with h5py.File(path, "a") as file:
        group = file["model_weights"]
        if how == "bomb":
            group.create_dataset("x", (1 << 32,), "u1", chunks=(1 << 20,), compression="gzip")
        elif how == "link":
            group["x"] = h5py.ExternalLink("/etc/hostname", "/")
        else:
            group.create_dataset("x", (4,), "u1", external=[("/etc/hostname", 0, 4)])
    line = "unpacks to 4295 MB, which no model does" if how == "bomb" else "points to data in other files"
    assert line in refused(path, **HALF)


def graph_with(path: Path, act: Callable[[Any, Any], Any]) -> Path:
    """A classifier that does something with the picture before it answers."""
    tf = import_tensorflow()
    graph = tf.Graph()
    with graph.as_default():
        image = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.nn.softmax(tf.reduce_mean(act(tf, image), [1, 2]), name="final_result")
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def test_operations_that_do_more_than_compute(tmp_path: Path) -> None:
    def write(tf: Any, image: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "done"), "x")]):
            return tf.identity(image)

    path = graph_with(tmp_path / "g.pb", write)
    assert "its operation WriteFile does more than compute" in refused(path)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("name", "magic", "ending"),
    [("m.pb", b"PK\x03\x04", ".keras"), ("m.KERAS", b"PK\x03\x04", ".keras"), ("m.keras", b"\x89HDF\r\n\x1a\n", ".h5")],
)
def test_a_keras_model_by_another_name(tmp_path: Path, name: str, magic: bytes, ending: str) -> None:
    path = tmp_path / name
    path.write_bytes(magic + bytes(100))
    assert f"only by a name that ends in {ending}: rename it" in refused(path)


def test_a_graph_that_wants_more_than_a_picture(tmp_path: Path) -> None:
    def drop_out(tf: Any, image: Any) -> Any:
        return image * tf.compat.v1.placeholder(tf.float32, [], name="keep_prob")

    line = refused(graph_with(tmp_path / "g.pb", drop_out))
    assert "g.pb: it wants more than a picture: keep_prob; freeze the graph with constants" in line


def test_operations_that_nobody_knows(tmp_path: Path) -> None:
    path = graph_with(tmp_path / "g.pb", lambda tf, image: tf.identity(image, name="odd"))
    definition = import_tensorflow().compat.v1.GraphDef.FromString(path.read_bytes())
    next(node for node in definition.node if node.name == "odd").op = "EvilOp"
    path.write_bytes(definition.SerializeToString())
    assert "its operation EvilOp is none that this TensorFlow knows" in refused(path)


def test_operations_that_tensorflow_lite_has_not(tmp_path: Path) -> None:
    path = graph_with(tmp_path / "g.pb", lambda tf, image: tf.math.bessel_i0e(image))
    assert "g.pb cannot be converted to TensorFlow Lite: TensorFlow Lite has no BesselI0e" in refused(path)


def test_two_pictures_or_rows_of_scores(tmp_path: Path) -> None:
    import keras

    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    both = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([first, second]))
    keras.Model([first, second], both).save(tmp_path / "m.keras")
    assert "is no picture classifier: 2 inputs and 1 output, " in refused(tmp_path / "m.keras")


@pytest.mark.parametrize("kind", ["m.pb", "m.keras", "m.tflite", "sm"])
def test_labels_that_do_not_fit(written: Path, tmp_path: Path, kind: str) -> None:
    path = written / kind
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    count = 3 if kind == "m.pb" else small_nets.CLASSES
    assert f"names.txt has 2 labels, {path} gives {count} scores" in refused(path, labels=str(names), **HALF)
    with zipfile.ZipFile(names, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a\n" * 100_000_000)
    assert "names.txt is no label file: not UTF-8 text; it looks like a zip" in refused(path, labels=str(names), **HALF)
    names.write_bytes(b"a\n" * 10_000_000)
    assert "more than the limit of" in refused(path, labels=str(names), **HALF)
    assert "no such file" in refused(path, labels=str(tmp_path / "none"), code=2, **HALF)


def test_a_bomb_of_labels_in_a_tflite_file(tmp_path: Path) -> None:
    from converters.metadata import add_metadata
    from runtime.spec import LabelList, ModelSpec

    spec = ModelSpec("m", "b", "single-label", small_nets.pixels(0.0, 255.0), LabelList(tuple("abcde")))
    content = add_metadata(convert_float32(small_nets.build("residual")), spec)
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        start = min(info.header_offset for info in archive.infolist())
    path.write_bytes(content[:start])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a\n" * 20_000_000)
    line = refused(path)
    assert "labels.txt" in line
    assert "too large" in line


@pytest.mark.parametrize("kind", ["m.pb", "m.keras"])
def test_scores_that_are_no_numbers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "m.pb":
        graph_with(path, lambda _tf, image: image * np.float32("nan"))
    else:
        model = small_nets.build("residual")
        model.set_weights([w * np.float32("nan") for w in model.get_weights()])
        model.save(path)
    source = open_source(path, Hints(**HALF))
    with pytest.raises(EdgeExportError, match="gives scores that are no numbers"):
        source.scores(source.check_pictures().images)
