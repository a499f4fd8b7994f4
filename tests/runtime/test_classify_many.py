"""``Classifier.classify_many``, and a classifier that several threads share."""

from __future__ import annotations

import gc
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from runtime import Classification, Classifier
from runtime.errors import ImageError, ModelError, UsageError
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model


def classes(answers: Any) -> list[int]:
    found = []
    for answer in answers:
        assert isinstance(answer, Classification)
        found.append(answer.predictions[0].class_id)
    return found


def stripes(count: int) -> Iterator[NDArray[np.uint8]]:
    """Red, green, blue, red, ...: a picture's class is its number modulo 3."""
    colours = list(COLOURS.values())
    return (np.full((20, 30, 3), colours[number % 3], np.uint8) for number in range(count))


@pytest.mark.parametrize("threads", [None, 1, 2])
@pytest.mark.parametrize("workers", [None, 1, 5])
def test_answers_are_those_of_classify_in_the_same_order(
    threads: int | None, workers: int | None, colours: Path
) -> None:
    classifier = Classifier.load(colours, threads=threads)
    for count in (0, 1, 100, 100):  # the second hundred uses the interpreters of the first
        assert classes(classifier.classify_many(stripes(count), workers=workers)) == [n % 3 for n in range(count)]
    one = classifier.classify(next(stripes(1)))
    (many,) = classifier.classify_many(stripes(1))
    assert isinstance(many, Classification)
    assert (many.predictions, many.labels) == (one.predictions, one.labels)


def test_every_kind_of_picture_and_errors_in_their_places(colours: Path, photos: Path) -> None:
    red = photos / "red.png"
    pictures = [
        red,
        str(red),
        b"text",
        red.read_bytes(),
        photos / "none.png",
        Image.new("RGB", (9, 9), COLOURS["blue"]),
    ]
    answers = list(Classifier.load(colours).classify_many(pictures, top_k=1))
    assert [isinstance(answer, ImageError) for answer in answers] == [False, False, True, False, True, False]
    assert "none.png: no such file" in str(answers[4])
    good = [answer for answer in answers if isinstance(answer, Classification)]
    assert [[p.class_id for p in answer.predictions] for answer in good] == [[0], [0], [0], [2]]


def test_rules(colours: Path) -> None:
    classifier = Classifier.load(colours)
    answers = list(classifier.classify_many(stripes(6), deny=["red"], threshold=0.2))
    assert [p.label for a in answers if isinstance(a, Classification) for p in a.predictions] == [
        "緑 grün",
        "two\nlines",
    ] * 2
    with pytest.raises(UsageError, match="the model has no such label"):
        classifier.classify_many(stripes(1), allow=["ret"])  # told at once, not at the first answer


def test_a_model_that_fails(save_model: Callable[..., Path]) -> None:
    classifier = Classifier.load(save_model(mean_colour_model(then="LOG"), spec_of("a", "b", "c", mean=0, std=1)))
    grey, black = np.full((8, 8, 3), 9, np.uint8), np.zeros((8, 8, 3), np.uint8)
    answers = classifier.classify_many([grey, grey, black, grey])
    assert isinstance(next(answers), Classification)
    assert isinstance(next(answers), Classification)
    with pytest.raises(ModelError, match="scores that are no numbers"):
        next(answers)


def test_a_file_that_was_replaced_meanwhile(colours: Path, save_model: Callable[..., Path], tmp_path: Path) -> None:
    classifier = Classifier.load(colours, threads=2)
    other = save_model(mean_colour_model("uint8"), spec_of("x", "y", "z"), "other.tflite")
    other.replace(colours)
    assert classifier.classify(next(stripes(1))).labels == ("red",)  # the model that was loaded is still there
    with pytest.raises(ModelError, match="was replaced after it was loaded; load it again"):
        classifier.model.twin(1)


def test_threads_share_a_classifier(colours: Path) -> None:
    classifier = Classifier.load(colours)
    wrong: list[object] = []

    def ask(number: int) -> None:
        picture = np.full((20, 30, 3), list(COLOURS.values())[number % 3], np.uint8)
        try:
            wrong.extend(
                a for a in (classifier.classify(picture) for _ in range(50)) if a.predictions[0].class_id != number % 3
            )
            if number == 0:
                assert classes(classifier.classify_many(stripes(60))) == [n % 3 for n in range(60)]
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_classifier_nobody_holds_is_gone_at_once(colours: Path) -> None:
    gc.disable()
    try:
        classifier = Classifier.load(colours)
        assert len(list(classifier.classify_many(stripes(9)))) == 9
        gone = weakref.ref(classifier.model)
        threading.Event().wait(0.2)  # its threads have ended
        del classifier
        assert gone() is None
    finally:
        gc.enable()


def test_large_pictures_share_the_memory(
    colours: Path, monkeypatch: pytest.MonkeyPatch, encoded: Callable[..., bytes]
) -> None:
    from runtime import pictures

    at_once, most = 0, 0
    counting = threading.Lock()
    decode = pictures.upright_rgb

    def slow(image: Image.Image, name: object) -> Image.Image:
        nonlocal at_once, most
        with counting:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.02)
        try:
            return decode(image, name)
        finally:
            with counting:
                at_once -= 1

    monkeypatch.setattr(pictures, "upright_rgb", slow)
    monkeypatch.setattr(pictures, "_BUDGET", pictures._Budget(2 * 30 * 20 - 1))
    data = [encoded(picture) for picture in stripes(12)]
    assert classes(Classifier.load(colours).classify_many(data, workers=4)) == [n % 3 for n in range(12)]
    assert most == 1
    monkeypatch.setattr(pictures, "_BUDGET", pictures._Budget(2 * 30 * 20))
    most = 0
    list(Classifier.load(colours).classify_many(data, workers=4))
    assert most == 2
    monkeypatch.setattr(pictures, "_BUDGET", pictures._Budget(1))  # larger than all of it: alone
    most = 0
    list(Classifier.load(colours).classify_many(data[:3], workers=4))
    assert most == 1


def test_the_floor(
    colours: Path, photos: Path, floor_python: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_module("classify", "--model", str(colours), "--top-k", "1", *[str(photos)] * 5, python=floor_python)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 30
