"""``toolkit predict`` with each kind of model people have, and what it answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from converters.inputs.predictor import Predictor
from converters.tensorflow import import_tensorflow
from runtime.answers import Stages
from tests.conftest import ROOT
from tests.toolkit import predict_models as models
from tests.toolkit.conftest import Trained
from tests.toolkit.predict_models import toolkit
from toolkit.predict.answers import as_json, as_text, make_answer


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.colour_pictures(tmp_path_factory.mktemp("colours") / "pictures")


def answers(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[dict[str, list[float]], str]:
    """Picture -> scores in the order of the classes, and what was said beside them."""
    assert toolkit("predict", *words, "--json") == 0
    captured = capsys.readouterr()
    found = {}
    for line in captured.out.splitlines():
        answer = json.loads(line)
        assert list(answer) == ["source", "predictions", "labels", "unknown", "milliseconds"]
        assert answer["labels"] == [answer["predictions"][0]["label"]]
        found[Path(answer["source"]).stem] = [
            p["score"] for p in sorted(answer["predictions"], key=lambda p: int(p["class_id"]))
        ]
    return found, captured.err


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", "predict", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_label_image_as_it_was_typed(colours: Path, tmp_path: Path) -> None:
    """In a process of its own: TF for Poets' graph, all of label_image.py's options, its spelling."""
    graph, labels = models.for_poets(tmp_path / "retrained_graph.pb"), models.write_labels(tmp_path / "l.txt")
    flags = ["--input_layer=input", "--output_layer=final_result", "--input_mean=128", "--input_std=128"]
    flags += [f"--input_height={models.SIZE}", f"--input_width={models.SIZE}"]
    done = run(f"--graph={graph}", f"--labels={labels}", *flags, f"--image={colours / 'red.png'}")
    assert done.returncode == 0, done.stderr
    best = max(models.expected("red", -1, 1))
    (source, first, *others) = done.stdout.splitlines()
    assert source == str(colours / "red.png")
    assert first.split()[1] == "red"
    assert float(first.split()[0].rstrip("%")) == pytest.approx(best * 100, abs=0.3)
    assert len(others) == 2
    said = done.stderr.splitlines()
    assert said == [f"model: {graph}; input:0 -> final_result:0; 32 x 32, (x - 128) / 128: as you say"]


@pytest.mark.parametrize(
    ("make", "said", "low"),
    [
        (models.for_poets, "input:0 -> final_result:0; 32 x 32, (x - 127.5) / 127.5: as retrain.py's MobileNet", -1),
        (models.tf_hub, "Placeholder:0 -> final_result:0; 32 x 32, (x - 0) / 255: pixels as 0..1", -1),
        (models.decodes_itself, "ResizeBilinear:0 -> softmax:0; 32 x 32, (x - 0) / 1: as the graph does it", -1),
    ],
)
def test_a_frozen_graph_says_it_itself(
    colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, said: str, low: float
) -> None:
    graph = make(tmp_path / "g.pb")
    models.write_labels(tmp_path / "output_labels.txt")
    found, err = answers(capsys, "--model", graph, colours)
    assert said in err
    assert f"labels from {tmp_path / 'output_labels.txt'}" in err
    assert list(found) == ["blue", "green", "red"]
    for colour, scores in found.items():
        assert scores == pytest.approx(models.expected(colour, low, 1), abs=0.005)


def test_a_keras_file(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models.keras_model().save(tmp_path / "m.keras")
    labels = models.write_labels(tmp_path / "names")
    found, err = answers(capsys, "--model", tmp_path / "m.keras", "--labels", labels, colours)
    assert "32 x 32, (x - 0) / 1: pixels as 0..255, which the model normalises itself" in err
    for colour, scores in found.items():
        assert scores == pytest.approx(models.expected(colour), abs=1e-4)


def test_logits_and_an_old_h5_file(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path / "m.h5"
    legacy_h5_format.save_model_to_hdf5(models.keras_model(activation="linear", rescale=False), str(path))
    found, err = answers(capsys, "--model", path, "--input-mean", "0", "--input-std", "255", colours)
    assert "carries no labels; classes are shown by number" in err
    for colour, scores in found.items():
        assert scores == pytest.approx(models.expected(colour), abs=1e-4)


@pytest.mark.parametrize("way", ["export", "save"])
def test_a_saved_model(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str) -> None:
    model = models.keras_model()
    if way == "export":
        model.export(tmp_path / "sm", verbose=False)
    else:
        import_tensorflow().saved_model.save(model, str(tmp_path / "sm"))
    found, err = answers(capsys, "--model", tmp_path / "sm", colours)
    assert "pixels as 0..255, which the model normalises itself" in err
    for colour, scores in found.items():
        assert scores == pytest.approx(models.expected(colour), abs=1e-4)


def test_a_saved_model_of_tensorflow_1(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As retrain.py wrote it with --saved_model_dir; its variables lie beside the graph."""
    tf = import_tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        image = v1.placeholder(tf.float32, [None, models.SIZE, models.SIZE, 3], name="Placeholder")
        weights = v1.get_variable("w", initializer=tf.constant(models.kernel()))
        scores = tf.nn.softmax(tf.matmul(tf.reduce_mean(image, [1, 2]), weights), name="final_result")
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            signature = v1.saved_model.predict_signature_def({"image": image}, {"prediction": scores})
            builder = v1.saved_model.Builder(str(tmp_path / "sm"))
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
            builder.save()
    for model in (tmp_path / "sm", tmp_path / "sm" / "saved_model.pb"):
        found, _ = answers(capsys, "--model", model, colours)
        for colour, values in found.items():
            assert values == pytest.approx(models.expected(colour), abs=1e-4)
    found, _ = answers(capsys, "--model", tmp_path / "sm", "--input_layer", "Placeholder:0", colours / "red.png")
    assert found["red"] == pytest.approx(models.expected("red"), abs=1e-4)


def test_a_bundle(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Keras model first; once there is an export, that, in a process without TensorFlow."""
    folder = shutil.copytree(trained.result.folder, tmp_path / "model")
    picture = next((trained.pictures / "circle").iterdir())
    keras, err = answers(capsys, "--model", folder, picture)
    assert f"model: {folder / 'model.keras'}" in err
    assert "toolkit convert makes it" in err
    assert toolkit("convert", folder) == 0
    capsys.readouterr()
    code = "import sys; from toolkit.cli import main; code = main(); assert 'tensorflow' not in sys.modules; exit(code)"
    command = [sys.executable, "-c", code, "predict", "--model", str(folder), str(picture), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (export,) = (folder / "export").glob("*.tflite")
    assert done.stderr.splitlines() == [f"model: {export}"]
    answer = json.loads(done.stdout)
    scores = [p["score"] for p in sorted(answer["predictions"], key=lambda p: int(p["class_id"]))]
    assert scores == pytest.approx(keras[picture.stem], abs=1e-4)
    assert answer["labels"] == ["circle"]
    # An export of another model that was left there is not this bundle's.
    spec = json.loads((folder / "spec.json").read_bytes())
    (folder / "spec.json").write_text(json.dumps(spec | {"name": "another"}))
    _, err = answers(capsys, "--model", folder, picture)
    assert f"model: {folder / 'model.keras'}" in err
    found, err = answers(capsys, "--model", export, picture)
    assert err == f"model: {export}\n"
    assert found[picture.stem] == pytest.approx(scores, abs=1e-6)


def test_other_peoples_tflite(thirdparty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = thirdparty / "mobilenet_v2_1.0_224_quant.tflite", thirdparty / "cat.bmp"
    # With the names that label_image.py of TensorFlow Lite gave its options.
    words = ("predict", "--model_file", model, "--label_file=imagenet", "--image", picture, "--json")
    words += ("--resample", "tf-bilinear")
    assert toolkit(*words) == 0
    best = json.loads(capsys.readouterr().out)["predictions"][0]
    assert (best["class_id"], best["label"]) == (286, "Egyptian cat")  # after a background class
    assert best["score"] >= 0.7


def predictor(task: Any, least: tuple[float, ...]) -> Predictor:
    from runtime.spec import Preprocessing

    return Predictor("m", Preprocessing(8, 8), ("a", "b", "c"), lambda pixels: pixels, task, least)


@pytest.mark.parametrize(
    ("task", "least", "labels", "text"),
    [
        ("single-label", (), ["b"], ["   60.0%  b", "   30.0%  c"]),
        ("single-label", (0.7,) * 3, [], ["          unknown: no score is high enough", "   60.0%  b", "   30.0%  c"]),
        ("multi-label", (0.05, 0.5, 0.4), ["b", "a"], ["   60.0%  b", "   30.0%  (c)", "   10.0%  a"]),
        ("multi-label", (0.9,) * 3, [], ["          no label: no score", "   60.0%  (b)", "   30.0%  (c)"]),
    ],
)
def test_what_holds(task: Any, least: tuple[float, ...], labels: list[str], text: list[str]) -> None:
    import numpy as np

    model = predictor(task, least)
    answer = make_answer("p.jpg", np.array([0.1, 0.6, 0.3], np.float32), model, 2, Stages(1, 2, 3))
    content = json.loads(as_json(answer))
    assert (content["labels"], content["unknown"]) == (labels, not labels)
    lines = as_text(answer, model).splitlines()
    assert lines[0] == "p.jpg"
    assert len(lines) == len(text) + 1
    assert all(line.startswith(part) for line, part in zip(lines[1:], text, strict=True))


def test_one_score_between_two_classes(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.GlobalAveragePooling2D(), layers.Dense(1, "sigmoid")])
    model.layers[-1].set_weights([models.kernel()[:, :1], models.kernel()[0, :1] * 0 - 2])
    model.save(tmp_path / "m.keras")
    (tmp_path / "labels.txt").write_text("other\nred\n")
    found, _ = answers(capsys, "--model", tmp_path / "m.keras", colours)
    red = 1 / (1 + 2.718281828 ** -(models.STEEP * 230 / 255 - 2))
    assert found["red"] == pytest.approx([1 - red, red], abs=1e-4)
    assert found["blue"][0] > 0.8
