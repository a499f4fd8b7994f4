"""toolkit.calibrate: a temperature that makes scores mean probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.calibrate import LEAST_IMAGES, calibrate, expected_calibration_error
from toolkit.head import Floats, Head, Ints, cross_entropy


def truthful(count: int, seed: int = 0) -> tuple[Head, Floats, Ints]:
    """A head whose scores are the very probabilities that the classes were drawn with."""
    random = np.random.default_rng(seed)
    features = random.normal(0, 1.5, (count, 4)).astype(np.float32)
    head = Head(np.eye(4, dtype=np.float32), np.zeros(4, np.float32), 0.1)
    scores = head.scores(features)
    return head, features, np.array([random.choice(4, p=row / row.sum()) for row in scores.astype(np.float64)])


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_finds_the_temperature(factor: float) -> None:
    head, features, class_ids = truthful(4000)
    scaled, calibration = calibrate(head.scaled(factor), features, class_ids)
    assert calibration.temperature == pytest.approx(factor, rel=0.1)
    assert calibration.images == 4000
    assert calibration.after <= 0.02
    assert calibration.after <= calibration.before + 0.01
    assert scaled.kernel == pytest.approx(head.kernel, abs=0.1)


def test_changes_scores_and_no_answer() -> None:
    head, features, class_ids = truthful(300)
    loud = head.scaled(5.0)
    quiet, calibration = calibrate(loud, features, class_ids)
    assert (quiet.scores(features).argmax(axis=1) == loud.scores(features).argmax(axis=1)).all()
    assert cross_entropy(quiet.scores(features), class_ids) < cross_entropy(loud.scores(features), class_ids)
    assert calibration.before > calibration.after
    assert "before" in str(calibration)


def test_too_few_pictures_say_too_little() -> None:
    head, features, class_ids = truthful(LEAST_IMAGES - 1)
    same, calibration = calibrate(head, features, class_ids)
    assert same is head
    assert (calibration.temperature, calibration.images) == (1.0, 0)
    assert str(LEAST_IMAGES) in str(calibration)


def test_no_pictures_at_all() -> None:
    head, features, class_ids = truthful(1)
    assert calibrate(head, features[:0], class_ids[:0])[1].images == 0


def test_the_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.4, 0.6]], np.float32)
    # Two pictures of .9 with one right: |.9 - .5|; one of .55 right: |.55 - 1|; one of .6 right: |.6 - 1|.
    expected = (2 * 0.4 + 0.45 + 0.4) / 4
    assert expected_calibration_error(scores, np.array([0, 1, 0, 1])) == pytest.approx(expected, abs=1e-6)


def test_certainty_counts() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert expected_calibration_error(scores, np.array([0, 1])) == 0.0
    assert expected_calibration_error(scores, np.array([1, 0])) == 1.0
