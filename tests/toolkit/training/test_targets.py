"""Targets and judgement as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.toolkit.training.small_run import target_matrix
from toolkit.head import smoothed
from toolkit.training.targets import cross_entropies, hit_rate, no_worse, picture_losses, temperature_loss


def test_one_label_and_negatives_spread_evenly() -> None:
    targets = target_matrix([(1,), (), (3,)], 4, "single-label")
    np.testing.assert_array_equal(targets, [[0, 1, 0, 0], [0.25] * 4, [0, 0, 0, 1]])
    assert targets.dtype == np.float32


def test_several_labels_and_none() -> None:
    targets = target_matrix([(0, 2), (), (1,)], 3, "multi-label")
    np.testing.assert_array_equal(targets, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])


def test_smoothing_spreads_over_classes_or_over_yes_and_no() -> None:
    targets = np.array([[1.0, 0.0]], np.float32)
    np.testing.assert_allclose(smoothed(targets, 0.1, "single-label"), [[0.95, 0.05]])
    np.testing.assert_allclose(smoothed(target_matrix([(0,)], 4, "single-label"), 0.2, "single-label").sum(), 1)
    np.testing.assert_allclose(smoothed(targets, 0.1, "multi-label"), [[0.95, 0.05]])
    many = target_matrix([(0,)], 4, "multi-label")
    np.testing.assert_allclose(smoothed(many, 0.2, "multi-label"), [[0.9, 0.1, 0.1, 0.1]])


def test_cross_entropy_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], np.float32))
    targets = target_matrix([(0,), (1,)], 3, "single-label")
    assert cross_entropies(logits, targets, "single-label") == pytest.approx([-np.log(0.7), -np.log(0.1)])
    scores = 1 / (1 + np.exp(-logits))
    by_hand = -(targets * np.log(scores) + (1 - targets) * np.log(1 - scores)).mean(axis=1)
    assert cross_entropies(logits, targets, "multi-label") == pytest.approx(by_hand)


def test_picture_losses_are_those_of_one_temperature() -> None:
    random = np.random.default_rng(1)
    targets = target_matrix([(int(c),) for c in random.integers(0, 4, 300)], 4, "single-label")
    logits = (targets * 2 + random.normal(size=targets.shape)).astype(np.float32)
    each = picture_losses(logits, targets, "single-label")
    factors = np.exp(np.arange(-22, 23) * np.log(1.1)).astype(np.float32)
    tried = [cross_entropies(logits * factor, targets, "single-label") for factor in factors]
    assert any(np.array_equal(each, losses) for losses in tried)
    assert each.mean() == min(losses.mean() for losses in tried) == temperature_loss(logits, targets, "single-label")


def test_an_epoch_is_worse_only_beyond_what_pictures_can_tell() -> None:
    least = np.random.default_rng(2).exponential(size=80).astype(np.float32)
    noise = np.random.default_rng(3).normal(size=80).astype(np.float32)
    noise -= noise.mean()
    error = noise.std() / np.sqrt(80)
    assert no_worse(least - 1, least)
    assert no_worse(least, least)
    assert no_worse(least + noise + 0.9 * error, least)
    assert not no_worse(least + noise + 1.1 * error, least)
    assert not no_worse(least + np.float32(0.01), least)  # worse in every picture, however little
    assert no_worse(least[:0], least[:0])


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_temperature_does_not_count(task: str) -> None:
    random = np.random.default_rng(0)
    targets = target_matrix([(int(c),) for c in random.integers(0, 4, 200)], 4, task)  # type: ignore[arg-type]
    logits = (targets * 2 + random.normal(size=targets.shape)).astype(np.float32)
    loss = temperature_loss(logits, targets, task)  # type: ignore[arg-type]
    assert temperature_loss(logits * 3, targets, task) == pytest.approx(loss, rel=5e-3)  # type: ignore[arg-type]
    worse = logits + 2 * random.normal(size=targets.shape).astype(np.float32)
    assert temperature_loss(worse, targets, task) > loss * 1.05  # type: ignore[arg-type]


def test_hits() -> None:
    logits = np.array([[2, 1], [0, 1], [1, 0], [5, 0]], np.float32)
    targets = target_matrix([(0,), (1,), (1,), ()], 2, "single-label")
    assert hit_rate(logits, targets, "single-label") == pytest.approx(2 / 3)  # negatives have no right class
    answers = target_matrix([(0, 1), (1,), (), (0,)], 2, "multi-label")
    assert hit_rate(logits, answers, "multi-label") == pytest.approx(7 / 8)


def test_nothing_to_judge_is_no_error() -> None:
    nothing = np.zeros((0, 3), np.float32)
    for task in ("single-label", "multi-label"):
        assert temperature_loss(nothing, nothing, task) == 0  # type: ignore[arg-type]
        assert hit_rate(nothing, nothing, task) == 0  # type: ignore[arg-type]
    assert hit_rate(np.zeros((1, 3), np.float32), target_matrix([()], 3, "single-label"), "single-label") == 0
