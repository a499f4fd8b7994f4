"""Our metadata as other people's programs read them, and as they classify with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from converters.metadata import add_metadata
from converters.metadata_text import MetadataText
from runtime.answers import AnswerRules
from runtime.classifier import Classifier
from runtime.images import decode_image
from runtime.preprocess import resize
from runtime.spec import LabelList, ModelSpec
from tests.bundles import Trained
from tests.converters import small_nets
from tests.converters.other_readers import mediapipe_answers, tflite_support_content
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


def same_order(ours: list[tuple[str, float]], theirs: list[tuple[str, float]], tolerance: float) -> bool:
    """Whether both name the same classes with the same scores in the same order; equal scores in any."""
    given = dict(ours)
    scores_agree = given.keys() == dict(theirs).keys() and all(
        abs(given[name] - score) <= tolerance for name, score in theirs
    )
    ordered = [given[name] for name, _ in theirs]
    return scores_agree and ordered == sorted(ordered, reverse=True)


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_mediapipe_on_photographs(flower_model: Trained, flowers: Path, kind: str, tmp_path: Path) -> None:
    """Photographs in the size of the input: the same classes, scores and order."""
    path = flower_model.file(kind)
    classifier = Classifier.load(path)
    pictures = [resize(photograph, classifier.contract.preprocessing) for photograph in photographs(flowers)]
    answers = mediapipe_answers(path, pictures, tmp_path, {"max_results": 5})
    different = []
    for number, (picture, answer) in enumerate(zip(pictures, answers, strict=True)):
        scores = [(p.label, p.score) for p in classifier.judge(classifier.scores(picture), AnswerRules())[0]]
        if not same_order(scores, [(name, score) for name, _, score in answer], 1e-4):
            different.append((number, scores, answer))
    assert len(answers) == 50
    assert not different


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_mediapipe_resizes_photographs_itself(flower_model: Trained, flowers: Path, kind: str, tmp_path: Path) -> None:
    """It does not smooth before it makes smaller, and still gives nearly always the same class."""
    path = flower_model.file(kind)
    classifier = Classifier.load(path)
    pictures: list[NDArray[np.uint8]] = [np.array(photograph) for photograph in photographs(flowers)]
    answers = mediapipe_answers(path, pictures, tmp_path, {"max_results": 1})
    best = [classifier.classify(picture, 1).predictions[0].label for picture in pictures]
    assert sum(answer[0][0] == label for answer, label in zip(answers, best, strict=True)) >= 47


def photographs(folder: Path) -> list[Image.Image]:
    """Ten of each kind, the last ones."""
    return [
        decode_image(path.read_bytes(), path)
        for kind in sorted(path for path in folder.iterdir() if path.is_dir())
        for path in sorted(kind.glob("*.jpg"))[-10:]
    ]
