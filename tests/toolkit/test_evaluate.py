"""``toolkit evaluate``: any model on any folder, as it is typed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.metadata import add_metadata
from runtime.classifier import Classifier
from runtime.spec import LabelList, ModelSpec
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes, png
from toolkit import cli
from toolkit.backbones.catalog import find_architecture
from toolkit.prepare import preprocessing_of

HOT_DOG = "hotdog, hot dog, red hot"
QUANTISED = "mobilenet_v1_0.25_128_quant.tflite"


def toolkit(*words: object) -> int:
    return cli.main([str(word) for word in words])


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.split("\n") if "error:" in line]
    assert "Traceback" not in captured.err
    return line


@pytest.fixture
def labels(thirdparty: Path) -> Path:
    return thirdparty / "imagenet_labels.txt"


@pytest.fixture
def photos(thirdparty: Path, tmp_path: Path) -> Path:
    """Two photographs in folders of the model's classes, one named in another case, and what is no class."""
    root = tmp_path / "photos"
    for folder, name in (("Military Uniform", "grace_hopper.bmp"), (HOT_DOG, "hot_dog.jpg")):
        (root / folder).mkdir(parents=True)
        shutil.copy(thirdparty / name, root / folder)
    return root


def test_a_bundle_on_its_own_folder(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The scores are the trained model's: the test share's accuracy is the one of the training."""
    words = ("evaluate", trained.result.folder, trained.pictures, "--output-dir", tmp_path / "out dir")
    cache = ("--cache-dir", trained.options.cache_dir)
    assert toolkit(*words, *cache) == 0
    captured = capsys.readouterr()
    assert "Converting the trained model to float32, once" in captured.err
    assert "warning: this is the folder that the model was trained on" in captured.err
    metrics = json.loads((tmp_path / "out dir" / "metrics.json").read_bytes())
    assert metrics["accuracy"]["the test pictures among them"] == trained.result.accuracy["test"].to_json()
    assert metrics["accuracy"]["evaluated"]["images"] == 160
    assert [row["support"] for row in metrics["evaluations"]["evaluated"]["per_class"]] == [40] * 4
    lines = captured.out.splitlines()
    assert lines[0].split() == ["class", "pictures", "precision", "recall", "F1"]
    assert lines[-1] == f"report: {tmp_path / 'out dir' / 'report.html'}"
    report = (tmp_path / "out dir" / "report.html").read_text("utf-8")
    mistakes = 160 - metrics["accuracy"]["evaluated"]["correct"]
    assert report.count('class="heat"') == min(4, mistakes) + 4
    assert toolkit(*words, *cache) == 0
    assert "Converting" not in capsys.readouterr().err, "kept in the cache"
    assert json.loads((tmp_path / "out dir" / "metrics.json").read_bytes()) == metrics


def test_a_folder_with_one_class(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(trained.pictures / "plus", tmp_path / "photos" / "plus")
    cache = ("--cache-dir", trained.options.cache_dir)
    assert toolkit("evaluate", trained.result.folder, tmp_path / "photos", "--output-dir", tmp_path / "o", *cache) == 0
    metrics = json.loads((tmp_path / "o" / "metrics.json").read_bytes())
    figures = metrics["evaluations"]["evaluated"]
    assert {row["label"]: row["support"] for row in figures["per_class"] if row["support"]} == {"plus": 40}
    assert (figures["pictures"], figures["accuracy"]["images"]) == (40, 40)
    assert figures["accuracy"]["accuracy"] > 0.9
    assert "the folder holds pictures of the training" in capsys.readouterr().err
    assert toolkit("train", tmp_path / "photos", "--output-dir", tmp_path / "m") == 1, "training needs two"


def test_a_file_of_others(
    thirdparty: Path, labels: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_classes(photos, {"no such class": 3})
    (photos / HOT_DOG / "broken.jpg").write_bytes((photos / HOT_DOG / "hot_dog.jpg").read_bytes()[:5000])
    out = tmp_path / "out"
    words = ("evaluate", thirdparty / QUANTISED, photos, "--labels", labels, "--output-dir", out, "--json")
    assert toolkit(*words) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    metrics = json.loads(line)
    assert metrics == json.loads((out / "metrics.json").read_bytes())
    assert "the folder 'Military Uniform' is taken for the class 'military uniform'" in captured.err
    assert "'no such class' is named like no class of the model: its 3 pictures count" in captured.err
    assert "1 file skipped, listed above" in captured.err
    assert "broken.jpg: " in captured.err
    figures = metrics["evaluations"]["evaluated"]
    assert (figures["accuracy"]["images"], figures["unknown"]["negatives_rejected"]["images"]) == (2, 3)
    answer = Classifier.load(thirdparty / QUANTISED).classify(photos / "Military Uniform" / "grace_hopper.bmp")
    names = labels.read_text().splitlines()
    assert figures["confusion"]["military uniform"] == {names[answer.predictions[0].class_id]: 1}
    assert metrics["command"].startswith("toolkit evaluate ")
    assert metrics["facts"]["its SHA-256"] == hashlib.sha256((thirdparty / QUANTISED).read_bytes()).hexdigest()
    assert 'class="heat"' in (out / "report.html").read_text("utf-8")


def test_hostile_labels_in_the_terminal(thirdparty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["two\nlines", "<b>猫</b>", *(f"class {n}" for n in range(999))]
    spec = ModelSpec(
        "odd <name>", "mobilenet_0.25_128", "single-label",
        preprocessing_of(find_architecture("mobilenet_0.25_128")), LabelList(tuple(names)),
    )  # fmt: skip
    model = tmp_path / "model ünï.tflite"
    model.write_bytes(add_metadata((thirdparty / QUANTISED).read_bytes(), spec))
    root = make_classes(tmp_path / "photos", {"two\nlines": 2})
    (root / "<b>猫<").mkdir()
    (root / "<b>猫<" / "x.png").write_bytes(png(77))
    assert toolkit("evaluate", model, root, "--output-dir", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "'two\\nlines'" in captured.out
    assert "'<b>猫<' is named like no class" in captured.err
    report = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "two\\nlines" in report
    assert "<b>猫" not in report


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["{nowhere}", "{photos}"], 2, "no such file or folder; name a .tflite file or a folder of toolkit train"),
        (["{photos}", "{photos}"], 1, "is not a model bundle of toolkit train: model.keras"),
        (["{text}", "{photos}"], 1, "is not a TensorFlow Lite model"),
        (["{model}", "{nowhere}"], 2, "no such folder"),
        (["{text}", "{nowhere}"], 2, "no such folder"),
        (["{model}", "{photos}"], 1, "is named like a class of the model: the folders are 'a', 'b', the classes '"),
        (["{model}", "{photos}", "--output-dir", "{text}"], 2, "is a file; name a folder"),
        (["{model}", "{photos}", "--labels", "{nowhere}"], 2, "no such file"),
        (["{model}", "{photos}", "--mean", "1"], 2, "--mean and --std belong together"),
        (["{model}"], 2, "missing: IMAGE_DIR; see toolkit evaluate --help"),
        (["{failing}", "{photos}", "--mean", "0", "--std", "1"], 1, ""),
    ],
)
def test_mistakes(
    thirdparty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    places = {"nowhere": tmp_path / "nowhere", "photos": make_classes(tmp_path / "photos", {"a": 2, "b": 2})}
    places |= {"text": tmp_path / "text.tflite", "model": thirdparty / QUANTISED}
    places["failing"] = thirdparty / "model_invoking_error.tflite"
    places["text"].write_text("some text, no model")
    output = [] if "--output-dir" in words else ["--output-dir", tmp_path / "out"]
    assert toolkit("evaluate", *(word.format(**places) for word in words), *output) == code
    assert text in one_error(capsys)
    assert not (tmp_path / "out" / "report.html").exists()


def test_not_one_picture_decodes(
    thirdparty: Path, labels: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in [*photos.rglob("*.bmp"), *photos.rglob("*.jpg")]:
        stream = path.with_suffix(".png")
        Image.fromarray(np.zeros((64, 64, 3), np.uint8) + len(path.name)).save(stream)
        stream.write_bytes(stream.read_bytes()[:60])
        path.unlink()
    words = ("evaluate", thirdparty / QUANTISED, photos, "--labels", labels, "--output-dir", tmp_path / "out")
    assert toolkit(*words) == 1
    assert "not one picture of" in one_error(capsys)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert toolkit("evaluate", "--help") == 0
    text = capsys.readouterr().out
    for part in ("IMAGE_DIR", "report.html", "default: evaluation", "--resample", "pictures of no class"):
        assert part in " ".join(text.split())


def small_model(root: Path, tmp_path: Path, *options: str) -> Path:
    """A bundle of the smallest network with random weights."""
    words = ("train", root, "--output-dir", tmp_path / "small", "--cache-dir", tmp_path / "cache", *options)
    assert toolkit(*words, "--architecture", "mobilenet_0.25_128", "--weights", "none", "--no-near-duplicates") == 0
    return tmp_path / "small"


def evaluated(capsys: pytest.CaptureFixture[str], model: Path, root: Path, tmp_path: Path) -> dict[str, Any]:
    capsys.readouterr()
    words = ("evaluate", model, root, "--output-dir", tmp_path / "out", "--cache-dir", tmp_path / "cache")
    assert toolkit(*words) == 0
    metrics: dict[str, Any] = json.loads((tmp_path / "out" / "metrics.json").read_bytes())
    return metrics


def test_pictures_of_no_class_and_the_models_own_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path / "photos", {"a": 70, "b": 70, "_background_": 30})
    model = small_model(root, tmp_path, "--reject", "30%")
    limit = json.loads((model / "spec.json").read_bytes())["unknown_below"]
    assert limit > 0.5
    figures = evaluated(capsys, model, root, tmp_path)["evaluations"]["evaluated"]
    assert (figures["pictures"], figures["accuracy"]["images"]) == (170, 140)
    assert figures["unknown"]["below"] == limit
    assert figures["unknown"]["negatives_rejected"]["images"] == 30
    assert figures["unknown"]["rejected"]["count"] > 0
    assert "this is the folder that the model was trained on" in capsys.readouterr().err


def test_several_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A labels.csv counts, the folder of the training is known again, and its test pictures score as they did."""
    root = make_classes(tmp_path / "photos", {"x": 60})
    rows = [("red;青", "red", "青", "")[number % 4] for number in range(60)]
    lines = [f"x/{number:03d}.png,{labels}" for number, labels in enumerate(rows)]
    (root / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    model = small_model(root, tmp_path, "--multi-label")
    trained_metrics = json.loads((model / "metrics.json").read_bytes())
    metrics = evaluated(capsys, model, root, tmp_path)
    captured = capsys.readouterr()
    said = captured.out
    assert re.search(r"^with labels +45 pictures, \d+ of them answered with no label$", said, re.M)
    assert re.search(r"^of no class +15 pictures, \d+ of them answered with no label$", said, re.M)
    assert "unknown" not in said
    assert "this is the folder that the model was trained on" in captured.err
    figures = metrics["evaluations"]["evaluated"]
    assert (figures["task"], figures["pictures"], figures["accuracy"]["images"]) == ("multi-label", 60, 60)
    assert {row["label"]: row["support"] for row in figures["per_class"]} == {"red": 30, "青": 30}
    assert metrics["accuracy"]["the test pictures among them"] == trained_metrics["accuracy"]["test"]
