"""Our metadata as other people's programs read them, and as they classify with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.metadata import add_metadata
from converters.metadata_text import MetadataText
from runtime.classifier import Classifier
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.other_readers import mediapipe_answers, same_order, tflite_support_content
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")

LABELS = ("Gänseblümchen", "向日葵", "two\r\nlines", " spaces ", '"🌷", <b>')
SHOWN = ("Gänseblümchen", "向日葵", "two\\r\\nlines", " spaces ", '"🌷", <b>')
GERMAN = ("Maßliebchen", "Sonnenblume", "zwei Zeilen", "Lücken", "Tulpe")
THRESHOLDS = dict(zip(LABELS, (0.0, 0.1, 0.25, 0.3, 0.125), strict=True))
TEXT = MetadataText("Blümen", "Über Blumen", "Žofie", "2.0", "CC-BY-4.0")


@pytest.fixture(scope="session")
def net() -> Net:
    return small_nets.make("residual", mean=127.0, std=128.0)


def spec_of(net: Net) -> ModelSpec:
    return ModelSpec("flowers", "small", "single-label", net.preprocessing, LabelList(LABELS), unknown_below=0.4)


def written(net: Net, kind: str, path: Path, spec: ModelSpec) -> Path:
    path.write_bytes(add_metadata(getattr(net, kind), spec, TEXT, {"de": GERMAN}))
    return path


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_tflite_support_reads_everything(net: Net, kind: str, tmp_path: Path) -> None:
    path = written(net, kind, tmp_path / "m.tflite", replace(spec_of(net), thresholds=THRESHOLDS))
    read = tflite_support_content(path, tmp_path)
    metadata = read["metadata"]
    assert read["min_parser_version"] == metadata["min_parser_version"] == "1.0.0"
    texts = [metadata[key] for key in ("name", "description", "author", "version", "license")]
    assert texts == ["Blümen", "Über Blumen", "Žofie", "2.0", "CC-BY-4.0"]
    (source,) = metadata["subgraph_metadata"][0]["input_tensor_metadata"]
    assert source["content"]["content_properties"] == {
        "color_space": "RGB",
        "default_size": {"width": 24, "height": 24},
    }
    assert source["process_units"][0]["options"] == {"mean": [127.0], "std": [128.0]}
    (target,) = metadata["subgraph_metadata"][0]["output_tensor_metadata"]
    assert [(file["name"], file["type"], file.get("locale")) for file in target["associated_files"]] == [
        ("labels.txt", "TENSOR_AXIS_LABELS", None),
        ("labels-de.txt", "TENSOR_AXIS_LABELS", "de"),
        ("score_calibration.csv", "TENSOR_AXIS_SCORE_CALIBRATION", None),
    ]
    assert target["process_units"][0]["options_type"] == "ScoreCalibrationOptions"
    assert target["process_units"][0]["options"] == {"score_transformation": "INVERSE_LOGISTIC"}
    assert set(read["files"]) == {"labels.txt", "labels-de.txt", "score_calibration.csv", "spec.json"}
    assert read["files"]["labels.txt"] == "\n".join(SHOWN) + "\n"
    assert read["files"]["labels-de.txt"] == "\n".join(GERMAN) + "\n"
    assert read["files"]["score_calibration.csv"] == "1,1,0\n1,1,0,0.1\n1,1,0,0.25\n1,1,0,0.3\n1,1,0,0.125"


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_mediapipe_answers_as_we_do(net: Net, kind: str, tmp_path: Path) -> None:
    path = written(net, kind, tmp_path / "m.tflite", spec_of(net))
    pictures = list(net.pictures[:10])
    ours = Classifier.load(path)
    theirs = mediapipe_answers(path, pictures, tmp_path, {"max_results": 5, "display_names_locale": "de"})
    german = dict(zip(SHOWN, GERMAN, strict=True))
    for picture, answer in zip(pictures, theirs, strict=True):
        assert all(shown == german[name] for name, shown, _ in answer)
        scores = [(name, float(score)) for name, score in zip(SHOWN, ours.scores(picture), strict=True)]
        assert same_order(scores, [(name, score) for name, _, score in answer], 1e-5)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_mediapipe_keeps_each_labels_threshold(net: Net, kind: str, tmp_path: Path) -> None:
    spec = replace(spec_of(net), thresholds=THRESHOLDS)
    path = written(net, kind, tmp_path / "m.tflite", spec)
    pictures = list(net.pictures[:10])
    ours = Classifier.load(path)
    hidden = 0
    for picture, answer in zip(pictures, mediapipe_answers(path, pictures, tmp_path), strict=True):
        scores = dict(zip(SHOWN, ours.scores(picture), strict=True))
        for (name, _, score), least in ((entry, THRESHOLDS[LABELS[SHOWN.index(entry[0])]]) for entry in answer):
            hidden += scores[name] < least
            assert score == pytest.approx(scores[name] if scores[name] >= least else 0.0, abs=1e-5)
    assert hidden > 5


def test_mediapipe_hides_what_is_below_the_common_threshold(net: Net, tmp_path: Path) -> None:
    spec = replace(spec_of(net), thresholds=dict.fromkeys(LABELS, 0.25))
    path = written(net, "float32", tmp_path / "m.tflite", spec)
    pictures = list(net.pictures[:10])
    ours = Classifier.load(path)
    for picture, answer in zip(pictures, mediapipe_answers(path, pictures, tmp_path), strict=True):
        scores = dict(zip(SHOWN, ours.scores(picture), strict=True))
        assert {name for name, _, _ in answer} == {name for name, score in scores.items() if score >= 0.25}
