"""toolkit.head: layers, scores, targets and weights."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.errors import UsageError
from toolkit.head import (
    Bools,
    ClassWeights,
    Head,
    HeadOptions,
    Layer,
    cross_entropy,
    image_weights,
    scores_of,
    soft_targets,
)


def one_hot(*class_ids: int, classes: int = 3) -> Bools:
    return np.eye(classes, dtype=np.bool_)[list(class_ids)]


def test_layers_by_hand() -> None:
    first = Layer(np.array([[1, -1], [0, 2]], np.float32), np.array([0, -1], np.float32))
    last = Layer(np.array([[1], [3]], np.float32), np.array([0.5], np.float32))
    features = np.array([[2, 1], [-1, 4]], np.float32)
    # relu(2, -2 + 2 - 1) = (2, 0) -> 2.5; relu(-1, 1 + 8 - 1) = (0, 8) -> 24.5
    assert Head((first, last)).logits(features).tolist() == [[2.5], [24.5]]
    assert Head((first, last)).scaled(2).logits(features).tolist() == [[5], [49]]


def test_scores() -> None:
    logits = np.array([[0, 0, np.log(2)], [1000, 0, -1000]], np.float32)
    np.testing.assert_allclose(scores_of(logits, "single-label"), [[0.25, 0.25, 0.5], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(scores_of(logits, "multi-label"), [[0.5, 0.5, 2 / 3], [1, 0.5, 0]], atol=1e-6)


def test_cross_entropy_by_hand() -> None:
    scores = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32)
    expected = -(np.log(0.5) + np.log(0.1)) / 2
    assert cross_entropy(scores, one_hot(0, 2), "single-label") == pytest.approx(expected)
    weighted = cross_entropy(scores, one_hot(0, 2), "single-label", np.array([1, 0], np.float32))
    assert weighted == pytest.approx(-np.log(0.5))
    several = np.array([[1, 1, 0]], np.bool_)
    expected = -(np.log(0.5) + np.log(0.25) + np.log(0.75))
    assert cross_entropy(scores[:1], several, "multi-label") == pytest.approx(expected)


def test_no_pictures_no_scores() -> None:
    head = Head((Layer(np.zeros((16, 3), np.float32), np.zeros(3, np.float32)),))
    assert head.scores(np.zeros((0, 16), np.float32)).shape == (0, 3)


def test_targets() -> None:
    truth = np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.bool_)
    assert soft_targets(truth, "single-label").tolist() == [[1, 0, 0, 0], [0.25] * 4]
    np.testing.assert_allclose(soft_targets(truth, "single-label", 0.2), [[0.85, 0.05, 0.05, 0.05], [0.25] * 4])
    assert soft_targets(truth, "multi-label").tolist() == truth.tolist()
    np.testing.assert_allclose(soft_targets(truth, "multi-label", 0.2), [[0.9, 0.1, 0.1, 0.1], [0.1] * 4], atol=1e-6)


@pytest.mark.parametrize(
    ("counts", "choice", "expected"),
    [
        ((5, 9), "auto", (1, 1)),
        ((5, 10), "auto", (1.5, 0.75)),
        ((5, 10), "none", (1, 1)),
        ((1, 1, 4), "auto", (2, 2, 0.5)),
    ],
)
def test_weights_of_classes(counts: tuple[int, ...], choice: ClassWeights, expected: tuple[float, ...]) -> None:
    class_ids = np.repeat(np.arange(len(counts)), counts)
    weights = image_weights(one_hot(*class_ids, classes=len(counts)), "single-label", choice)
    assert [float(weights[class_ids == c][0]) for c in range(len(counts))] == pytest.approx(expected)
    assert weights.mean() == pytest.approx(1.0)


def test_an_image_of_a_rare_label_counts_more() -> None:
    truth = np.array([[1, 0]] * 8 + [[1, 1]] * 2, np.bool_)
    weights = image_weights(truth, "multi-label", "auto")
    assert weights[-1] > 2 * weights[0]
    assert weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_smoothing": 1}, "--label-smoothing must be 0 or more and less than 1, not 1"),
        ({"label_smoothing": -0.1}, "--label-smoothing must be"),
        ({"hidden": -1}, "--hidden must be 0"),
        ({"hidden": 10**6}, "--hidden must be 0"),
    ],
)
def test_out_of_range(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HeadOptions(**values)  # type: ignore[arg-type]
