"""A conversion of a bundle: its files, its report, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import make, source
from converters.bundle import TEST_SPLIT_FILE
from converters.convert import Conversion, ConversionError, convert
from converters.options import ConvertOptions
from runtime.classifier import Classifier
from runtime.errors import ModelError, UsageError
from tests.converters import tiny_bundle
from tests.converters.conversions import ANY_DROP, both, content, count_conversions

pytest.importorskip("tensorflow")


def test_float_alone(bundle: Path) -> None:
    told: list[str] = []
    conversion = convert(bundle, notify=told.append)
    assert conversion.fresh
    assert set(content(bundle / "export")) == {"export.html", "export.json", "shapes_float32.tflite"}
    assert told == ["Loading the trained model", "Converting to float32", told[-1]]
    assert told[-1].startswith("Checking shapes_float32.tflite on ")
    (entry,) = conversion.report["files"]
    assert (entry["kind"], entry["accepted"], entry["accuracy_drop"]) == ("float32", True, 0.0)
    assert entry["largest_score_difference"] < 1e-4
    assert entry["top1_agreement"] == 1.0
    assert conversion.report["check_pictures"] == len(conversion.report["test_scores"]) > 0
    assert conversion.report["trained"]["unknown"] == entry["unknown"] == entry["unknown_changed"] == 0


def test_both_kinds(converted_once: Conversion) -> None:
    folder, report = converted_once.folder, converted_once.report
    names = [entry["file"] for entry in report["files"]]
    assert names == ["shapes_float32.tflite", "shapes_int8.tflite"]
    assert set(content(folder)) == {"export.html", "export.json", *names}
    assert json.loads((folder / "export.json").read_bytes()) == report
    split = json.loads((folder.parent / TEST_SPLIT_FILE).read_bytes())["images"]
    assert [row["sha256"] for row in report["test_scores"]] == [image["sha256"] for image in split]
    for row, image in zip(report["test_scores"], split, strict=True):
        np.testing.assert_allclose(row["trained"], image["scores"], atol=1e-3)
        np.testing.assert_allclose(row["float32"], image["scores"], atol=1e-3)
        assert max(row["int8"]) <= 1.0
    spec = Classifier.load(folder / names[1]).contract
    assert tuple(spec.labels) == ("circle", "plus", "square", "triangle")
    sizes = [entry["bytes"] for entry in report["files"]]
    assert sizes == [len(content(folder)[name]) for name in names]
    assert sizes[1] < sizes[0] / 2


def test_the_same_files_each_time(converted: Path) -> None:
    before = content(converted / "export")
    assert convert(converted, both(force=True)).fresh
    after = content(converted / "export")
    for name in ("shapes_float32.tflite", "shapes_int8.tflite"):
        assert after[name] == before[name]


def test_layers_of_files_that_are_up_to_date(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, told = count_conversions(monkeypatch), list[str]()
    conversion = convert(converted, both(explain=True), told.append)
    assert made == []
    assert any(line.startswith("What the layers of int8 lose") for line in told)
    assert "shapes_int8_layers.svg" in content(converted / "export")
    assert [entry["kind"] for entry in conversion.report["files"]] == ["float32", "int8"]


def test_float32_where_int8_fails(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow may fail at one kind; the other is made all the same."""

    def fail(*_arguments: Any) -> bytes:
        raise module_error("no such operator\nand a page of MLIR")

    module_error = type("ConverterError", (Exception,), {})
    monkeypatch.setattr(make, "quantize_int8", fail)
    with pytest.raises(ConversionError) as caught:
        convert(converted, both(force=True))
    assert str(caught.value) == "TensorFlow cannot convert the model to int8: no such operator"
    assert set(content(converted / "export")) == {"export.html", "export.json", "shapes_float32.tflite"}
    monkeypatch.setattr(source, "convert_float32", fail)
    with pytest.raises(ModelError, match="^TensorFlow cannot convert the model to float32: no such operator$"):
        convert(converted, both(force=True))


def test_no_test_pictures(tmp_path: Path) -> None:
    folder = tiny_bundle.write(tmp_path / "model", test=0)
    report = convert(folder, ConvertOptions(quantize=("int8",))).report
    assert report["trained"]["accuracy"]["accuracy"] is None
    assert [(entry["accuracy_drop"], entry["accepted"]) for entry in report["files"]] == [(None, True)] * 2
    assert report["files"][0]["top1_agreement"] == 1.0
    assert report["test_scores"] == []


def test_training_that_keeps_no_test_pictures(shapes: Path, tmp_path: Path) -> None:
    from toolkit.options import TrainOptions
    from toolkit.split import SplitOptions
    from toolkit.train import train

    options = TrainOptions(
        output_dir=tmp_path / "model",
        architecture="mobilenet_0.25_128",
        weights="none",
        cache_dir=tmp_path / "cache",
        split=SplitOptions(validation_percentage=10, testing_percentage=0),
        calibration_images=12,
    )
    report = convert(train(shapes, options).folder).report
    assert [(entry["accuracy_drop"], entry["accepted"]) for entry in report["files"]] == [(None, True)]
    assert (report["check_pictures"], report["test_scores"]) == (12, [])


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        convert(tmp_path / "nothing")


def test_the_users_own_files_stay(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()
    (target / "shapes.pb").write_bytes(b"of the user")
    options = ConvertOptions(formats=("pb",), output_dir=target, max_accuracy_drop=ANY_DROP)
    with pytest.raises(UsageError, match="shapes.pb is there, and no conversion has put it there"):
        convert(bundle, options)
    assert content(target) == {"shapes.pb": b"of the user"}
    with pytest.raises(UsageError, match="is the model itself"):
        convert(bundle, ConvertOptions(output_dir=bundle))
    with pytest.raises(UsageError, match="--calibration-dir has no place with a bundle"):
        convert(bundle, ConvertOptions(calibration_dir=tmp_path))
    (target / "shapes.pb").unlink()
    convert(bundle, options)
    model = target / "shapes.pb"
    before = model.read_bytes()
    with pytest.raises(UsageError, match="--formats pb would write over .*shapes.pb itself"):
        convert(model, ConvertOptions(formats=("pb",), output_dir=target))
    assert model.read_bytes() == before
