from __future__ import annotations

import json

import numpy as np
import pytest

from converters.accuracy import Accuracy
from converters.answers import answers, unanswered
from runtime.answers import answered_labels
from runtime.spec import Task

# R. G. Newcombe, "Two-sided confidence intervals for the single proportion: comparison of seven methods",
# Statistics in Medicine 17 (1998), table I: "score, no continuity correction".
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0000, 0.1611),
    (1, 29, 0.0061, 0.1718),
]


@pytest.mark.parametrize(("correct", "images", "low", "high"), NEWCOMBE)
def test_interval_is_that_of_the_literature(correct: int, images: int, low: float, high: float) -> None:
    assert Accuracy(correct, images).interval() == pytest.approx((low, high), abs=5e-5)
    mirrored = Accuracy(images - correct, images).interval()
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_without_images() -> None:
    nothing = Accuracy(0, 0)
    assert np.isnan(nothing.value)
    assert nothing.interval() == (0.0, 1.0)
    assert str(nothing) == "not measured (0 images)"
    assert nothing.to_json() == {"accuracy": None, "correct": 0, "images": 0, "interval_95": [0.0, 1.0]}


def test_of_scores() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]], np.float32)
    truth = np.array([[0, 1], [0, 1], [1, 0]], np.bool_)
    assert Accuracy.of(answers(scores, "single-label", (0.9, 0.9)), truth) == Accuracy(2, 3)
    nothing = np.zeros((0, 2))
    assert Accuracy.of(answers(nothing.astype(np.float32), "single-label", ()), nothing.astype(np.bool_)).images == 0


def test_of_several_labels() -> None:
    scores = np.array([[0.6, 0.3], [0.6, 0.2], [0.4, 0.1]], np.float32)
    answered = answers(scores, "multi-label", (0.5, 0.3))
    assert answered.tolist() == [[True, True], [True, False], [False, False]]
    assert Accuracy.of(answered, np.array([[1, 1], [1, 1], [0, 0]], np.bool_)) == Accuracy(2, 3)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_unanswered_is_what_the_runtime_calls_unknown(task: Task) -> None:
    random = np.random.default_rng(0)
    scores = (random.integers(0, 11, (500, 3)) / 10).astype(np.float32)  # many that equal a limit, rounded to float32
    least = (0.3, 0.7, 0.9)
    expected = [not answered_labels(row, "abc", least, task) for row in scores]
    assert unanswered(scores, task, least).tolist() == expected
    assert 0 < sum(expected) < 500
    assert not unanswered(scores, task, ()).any()
    assert unanswered(scores[:0], task, least).shape == (0,)


def test_all_right_stays_within_one() -> None:
    low, high = Accuracy(10, 10).interval()
    assert high == pytest.approx(1.0)
    assert low == pytest.approx(0.7225, abs=5e-5)


def test_as_text_and_json() -> None:
    accuracy = Accuracy(81, 263)
    assert str(accuracy) == "30.8% (N=263, 95 % interval 25.5% to 36.6%)"
    assert json.loads(json.dumps(accuracy.to_json()))["correct"] == 81
