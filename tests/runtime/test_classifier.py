from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime.answers import AnswerRules, rank_scores
from runtime.classifier import Classifier
from runtime.contract import Overrides
from runtime.errors import ImageError, ModelError
from runtime.sources.frame import Frame
from runtime.spec import Preprocessing
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model

SaveModel = Callable[..., Path]
# Model, its picture, the class that must be among the first three, and its least score: shared/thirdparty/README.md.
PAIRS = [
    ("mobilenet_v1_0.25_128_quant.tflite", "cat.bmp", 283, 0.25),
    ("mobilenet_v2_1.0_224_quant.tflite", "cat.bmp", 286, 0.70),
]
AS_IN_TENSORFLOW = Overrides(resample="tf-bilinear")


def softmax(values: list[float]) -> NDArray[np.float64]:
    powers = np.exp(np.array(values) - max(values))
    return np.asarray(powers / powers.sum())


@pytest.mark.parametrize(("model", "picture", "class_id", "least"), PAIRS)
def test_third_party_pairs(thirdparty: Path, model: str, picture: str, class_id: int, least: float) -> None:
    classifier = Classifier.load(thirdparty / model, AS_IN_TENSORFLOW)
    first = classifier.classify(thirdparty / picture, top_k=3).predictions
    scores = {prediction.class_id: prediction.score for prediction in first}
    assert scores[class_id] >= least


@pytest.mark.parametrize(("model", "picture", "class_id", "least"), PAIRS)
def test_third_party_pairs_on_the_floor(
    thirdparty: Path,
    model: str,
    picture: str,
    class_id: int,
    least: float,
    floor_python: Path,
    run_module: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    paths = str(thirdparty / model), str(thirdparty / picture)
    options = ("--resample", "tf-bilinear", "--top-k", "3", "--json", "--model")
    done = run_module("classify", *options, *paths, python=floor_python)
    assert done.stderr == ""
    first = json.loads(done.stdout)["predictions"]
    assert {entry["class_id"]: entry["score"] for entry in first}[class_id] >= least


def test_third_party_labels_by_the_command(
    thirdparty: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """What the pictures show, in the words of the label file, with the resize that the model was made with."""
    model, labels = str(thirdparty / "mobilenet_v2_1.0_224_quant.tflite"), str(thirdparty / "imagenet_labels.txt")
    pictures = ("cat.bmp", "cat_720p.jpg", "grace_hopper.bmp", "hot_dog.jpg")
    options = ("--labels", labels, "--resample", "tf-bilinear", "--json", "--model", model)
    done = run_module("classify", *options, *(str(thirdparty / name) for name in pictures))
    answers = [json.loads(line)["predictions"][0] for line in done.stdout.splitlines()]
    assert [(answer["label"].split(",")[0], answer["class_id"]) for answer in answers] == [
        ("Egyptian cat", 286),
        ("Egyptian cat", 286),
        ("military uniform", 653),
        ("hotdog", 935),
    ]
    assert min(answer["score"] for answer in answers) >= 0.7


def test_every_kind_of_picture_gives_the_same(colours: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(colours, threads=1)
    image = Image.new("RGB", (30, 20), COLOURS["green"])
    path = tmp_path / "green.png"
    image.save(path)
    answers = [classifier.classify(p).predictions for p in (path, str(path), path.read_bytes(), image, np.array(image))]
    assert all(answer == answers[0] for answer in answers)
    assert [p.class_id for p in answers[0]] == [1, 0, 2]  # equal scores in the order of their ids
    assert answers[0][0].label == "緑 grün"
    assert [p.score for p in answers[0]] == pytest.approx(softmax([1, -1, -1])[[0, 1, 2]])


def test_top_k_and_threshold(colours: Path) -> None:
    classifier = Classifier.load(colours)
    red = Image.new("RGB", (8, 8), COLOURS["red"])
    assert [p.class_id for p in classifier.classify(red, top_k=1).predictions] == [0]
    assert len(classifier.classify(red, top_k=100).predictions) == 3
    assert classifier.classify(red, top_k=0).predictions == ()
    assert [p.class_id for p in classifier.classify(red, threshold=0.5).predictions] == [0]
    assert classifier.classify(red, threshold=1.0).predictions == ()


def test_the_time_of_each_stage(colours: Path) -> None:
    stages = Classifier.load(colours).classify(Image.new("RGB", (8, 8))).milliseconds
    assert stages.decode >= 0
    assert stages.preprocess > 0
    assert stages.invoke > 0


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_channels_and_their_normalisation(order: str, save_model: SaveModel) -> None:
    spec = spec_of("first", "second", "third", mean=(10, 20, 30), std=(100, 200, 300), channel_order=order)
    classifier = Classifier.load(save_model(mean_colour_model(then="SOFTMAX"), spec))
    picture = np.full((8, 8, 3), (50, 100, 200), np.uint8)
    given = (50, 100, 200) if order == "RGB" else (200, 100, 50)
    expected = softmax([(given[n] - (10, 20, 30)[n]) / (100, 200, 300)[n] for n in range(3)])
    predictions = classifier.classify(picture).predictions
    assert {p.class_id: p.score for p in predictions} == pytest.approx(dict(enumerate(expected)), abs=1e-6)


def test_logits_become_probabilities(save_model: SaveModel) -> None:
    spec = spec_of("a", "b", "c", mean=0, std=1)
    classifier = Classifier.load(save_model(mean_colour_model(), spec))
    scores = classifier.scores(np.full((8, 8, 3), (3, 1, 0), np.uint8))
    assert scores == pytest.approx(softmax([3, 1, 0]), abs=1e-6)
    assert classifier.scores(np.full((8, 8, 3), (255, 0, 0), np.uint8)).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (None, "got None; cv2.imread gives None for a file that it cannot read"),
        (3, "got a int$"),
        ([[1, 2, 3]], "got a list$"),
    ],
)
def test_things_that_are_no_pictures(thing: Any, message: str, colours: Path) -> None:
    classifier = Classifier.load(colours)
    with pytest.raises(ImageError, match=f"^a picture must be a path, the bytes of a file, a Pillow .*{message}"):
        classifier.classify(thing)
    assert [type(answer) for answer in classifier.classify_many([thing])] == [ImageError]


def test_quantised_inputs_take_bytes(save_model: SaveModel) -> None:
    picture = np.full((8, 8, 3), (3, 128, 255), np.uint8)
    for dtype, scale, zero_point, shift in (("uint8", 1 / 127.5, 128, 0), ("int8", 1 / 127.5, 0, 128)):
        for spec in (None, spec_of("a", "b", "c")):
            model = mean_colour_model(dtype, scale=scale, zero_point=zero_point)
            classifier = Classifier.load(save_model(model, spec))
            tensor = classifier.tensor(picture)
            assert tensor.dtype == dtype
            assert tensor[0, 0, 0].tolist() == [3 - shift, 128 - shift, 255 - shift]
            # TensorFlow's resize gives fractions; a byte has none.
            assert np.array_equal(classifier.tensor(picture + np.float32(0.4)), tensor)
            assert classifier.classify(picture).predictions[0].class_id == 2


def test_a_quantised_input_whose_scale_is_no_byte(save_model: SaveModel) -> None:
    spec = spec_of("a", "b", "c", mean=(0, 10, 20), std=(1, 2, 4))
    model = mean_colour_model("int8", scale=0.5, zero_point=-100)
    classifier = Classifier.load(save_model(model, spec))
    tensor = classifier.tensor(np.full((8, 8, 3), (10, 30, 60), np.uint8))
    assert tensor[0, 0, 0].tolist() == [-80, -80, -80]


def test_every_label_that_holds_is_among_the_predictions(save_model: SaveModel) -> None:
    spec = replace(spec_of("a", "b", "c"), task="multi-label", thresholds={"a": 0.5, "b": 0.1, "c": 0.3})
    classifier = Classifier.load(save_model(mean_colour_model(then="SOFTMAX"), spec))
    answer = classifier.classify(Image.new("RGB", (8, 8), COLOURS["red"]), top_k=1)
    assert answer.labels == ("a", "b")
    assert [p.label for p in answer.predictions] == ["a", "b"]
    assert [p.score for p in answer.predictions] == pytest.approx(softmax([1, -1, -1])[:2])
    assert classifier.classify(Image.new("RGB", (8, 8), COLOURS["red"]), top_k=0).predictions == ()
    ranked = rank_scores(np.array([0.2, 0.3, 0.5], np.float32), "abc", AnswerRules(1, 0.25), "ab")
    assert [p.label for p in ranked] == ["c", "b"], "the threshold of what is shown holds for all"


def test_scores_that_are_no_numbers(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model(then="LOG"), spec_of("a", "b", "c"))
    with pytest.raises(ModelError, match=r"made.tflite: the model gives scores that are no numbers"):
        Classifier.load(path).classify(Image.new("RGB", (8, 8)))


def test_pictures_that_cannot_be_used(colours: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(colours)
    for picture in (b"", b"text", tmp_path / "none.jpg", str(tmp_path), np.zeros((2, 2)), Image.new("RGB", (0, 3))):
        with pytest.raises(ImageError):
            classifier.classify(picture)


def test_a_truncated_picture_that_pillow_opened(colours: Path, thirdparty: Path) -> None:
    data = (thirdparty / "hot_dog.jpg").read_bytes()
    with Image.open(io.BytesIO(data[: len(data) // 2])) as opened, pytest.raises(ImageError, match="truncated picture"):
        Classifier.load(colours).classify(opened)


def test_files_that_are_no_model(tmp_path: Path, thirdparty: Path) -> None:
    whole = (thirdparty / PAIRS[0][0]).read_bytes()
    for name, data, message in (
        ("photo.tflite", (thirdparty / "hot_dog.jpg").read_bytes(), "it looks like a JPEG picture"),
        ("empty.tflite", b"", r"is empty \(0 bytes\)"),
        ("cut.tflite", whole[: len(whole) // 2], "is cut short or damaged"),
        ("model.keras", b"PK\3\4" + bytes(50), "it looks like a Keras model; convert it first"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ModelError, match=message):
            Classifier.load(tmp_path / name)


def test_the_preprocessing_is_the_files(save_model: SaveModel) -> None:
    spec = spec_of("a", "b", "c", resize="center-crop", crop_fraction=0.5, resample="nearest")
    classifier = Classifier.load(save_model(mean_colour_model(then="SOFTMAX"), spec))
    assert classifier.contract.preprocessing == Preprocessing(8, 8, "center-crop", 0.5, "nearest")
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[10:30, 10:30] = COLOURS["red"]  # all that the model sees
    assert classifier.classify(picture).predictions[0].score == pytest.approx(softmax([1, -1, -1])[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_frame_is_prepared_as_a_picture_is(
    colours: Path, pixels: NDArray[np.uint8], encoded: Callable[..., bytes], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(pixels, "JPEG", exif=exif, quality=95)
    classifier = Classifier.load(colours)
    expected = classifier.prepare(data).tensor
    frame = Frame("photo.jpg", 0, data, 0.0, 0.0, decode_ms=5.0)
    prepared = classifier.prepare_frame(frame)
    assert np.array_equal(prepared.tensor, expected)
    assert np.array_equal(classifier.prepare(frame.image()).tensor, expected)
    assert prepared.decode_ms > 5.0
