"""toolkit.calibrate: a temperature that makes scores mean probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.spec import Task
from toolkit.calibrate import LEAST_IMAGES, calibrate
from toolkit.head import Bools, Floats, Head, Layer, cross_entropy
from toolkit.reliability import reliability


def truthful(count: int, seed: int = 0) -> tuple[Head, Floats, Bools]:
    """A head whose scores are the very probabilities that the classes were drawn with."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 1.5, (count, 4)).astype(np.float32)
    head = Head((Layer(np.eye(4, dtype=np.float32), np.zeros(4, np.float32)),))
    scores = head.scores(features)
    class_ids = [random.choice(4, p=row / row.sum()) for row in scores.astype(np.float64)]
    return head, features, np.eye(4, dtype=np.bool_)[class_ids]


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_finds_the_temperature(factor: float) -> None:
    head, features, truth = truthful(4000)
    loud = head.scaled(factor)
    scaled, calibration = calibrate(loud, loud.logits(features), truth)
    assert calibration.temperature == pytest.approx(factor, rel=0.1)
    assert calibration.images == 4000
    assert calibration.after <= 0.02
    assert calibration.after <= calibration.before + 0.01
    assert scaled.layers[0].kernel == pytest.approx(head.layers[0].kernel, abs=0.1)


def test_finds_the_temperature_of_several_labels() -> None:
    random = np.random.default_rng(3)
    features = random.normal(0, 2, (3000, 3)).astype(np.float32)
    head = Head((Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),), "multi-label")
    truth = random.random((3000, 3)) < head.scores(features)
    _, calibration = calibrate(head.scaled(3.0), head.scaled(3.0).logits(features), truth)
    assert calibration.temperature == pytest.approx(3.0, rel=0.1)
    assert calibration.after < 0.02 < calibration.before


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
@pytest.mark.parametrize("gap", [2.0, 6.0, 30.0])
def test_pictures_that_are_all_answered_rightly_are_no_reason_for_certainty(task: Task, gap: float) -> None:
    truth = np.eye(4, dtype=np.bool_)[np.arange(LEAST_IMAGES) % 4]
    logits = np.where(truth, np.float32(gap / 2), np.float32(-gap / 2))
    head = Head((Layer(np.eye(4, dtype=np.float32), np.zeros(4, np.float32)),), task)
    calibrated, calibration = calibrate(head, logits, truth)
    assert 0.15 < calibration.temperature <= 1.001
    before = head.scores(logits)[truth].min()
    assert before - 1e-3 <= calibrated.scores(logits)[truth].min() <= max(before, 0.999)
    # The surer they are by themselves, the less is changed.
    surer = calibrate(head, 2 * logits, truth)[1]
    assert calibration.temperature - 1e-3 <= surer.temperature <= 1.001


def test_changes_scores_and_no_answer() -> None:
    head, features, truth = truthful(300)
    loud = head.scaled(5.0)
    quiet, calibration = calibrate(loud, loud.logits(features), truth)
    before, after = loud.scores(features), quiet.scores(features)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    assert cross_entropy(after, truth, "single-label") < cross_entropy(before, truth, "single-label")
    assert calibration.before > calibration.after
    assert "before" in str(calibration)


def test_pictures_of_no_class_do_not_count() -> None:
    head, features, truth = truthful(600)
    more = np.concatenate([truth, np.zeros((50, 4), np.bool_)])
    logits = np.concatenate([head.logits(features), np.full((50, 4), 3, np.float32)])
    assert calibrate(head, logits, more)[1] == calibrate(head, head.logits(features), truth)[1]


def test_too_few_pictures_say_too_little() -> None:
    head, features, truth = truthful(LEAST_IMAGES - 1)
    same, calibration = calibrate(head, head.logits(features), truth)
    assert same is head
    assert (calibration.temperature, calibration.images) == (1.0, 0)
    assert str(LEAST_IMAGES) in str(calibration)


def test_no_pictures_at_all() -> None:
    head, features, truth = truthful(1)
    assert calibrate(head, head.logits(features[:0]), truth[:0])[1].images == 0


def test_the_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.4, 0.6]], np.float32)
    truth = np.eye(2, dtype=np.bool_)[[0, 1, 0, 1]]
    # Two pictures of .9 with one right: |.9 - .5|; one of .55 right: |.55 - 1|; one of .6 right: |.6 - 1|.
    expected = (2 * 0.4 + 0.45 + 0.4) / 4
    assert reliability(scores, truth).error == pytest.approx(expected, abs=1e-6)


def test_certainty_counts() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert reliability(scores, np.eye(2, dtype=np.bool_)).error == 0.0
    assert reliability(scores, ~np.eye(2, dtype=np.bool_)).error == 1.0
