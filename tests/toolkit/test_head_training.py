"""The linear head: the true minimum, penalties chosen by pictures that were not seen, groups held out whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runtime.spec import Task
from toolkit.head_training import Examples, _folds, _Problem, fit_linear, losses_and_scores


def make_examples(
    rows: int = 120, features: int = 40, classes: int = 3, noise: float = 2.0, seed: int = 0, views: int = 1
) -> Examples:
    random = np.random.default_rng(seed)
    class_ids = np.arange(rows) % classes
    centers = random.normal(size=(classes, features))
    pictures = centers[class_ids] + noise * random.normal(size=(rows, features)) + 5
    return Examples(
        features=np.concatenate([pictures + 0.1 * v * random.normal(size=pictures.shape) for v in range(views)]).astype(
            np.float32
        ),
        targets=np.tile(np.eye(classes, dtype=np.float32)[class_ids], (views, 1)),
        weights=np.ones(rows * views, np.float32),
        groups=np.tile(np.arange(rows), views),
        judged=np.arange(rows * views) < rows,
    )


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_the_gradient_is_that_of_the_loss(task: Task) -> None:
    examples = make_examples(rows=30, features=6)
    examples = replace(examples, weights=np.linspace(0.1, 2, 30).astype(np.float32))
    problem = _Problem(examples.features, examples, task, _folds(examples, 3, 0), 3)
    function = problem.function(0.1)
    point = np.random.default_rng(1).normal(0, 0.1, problem.shape).astype(np.float32).ravel()
    _, gradient = function(point)
    for index in range(0, len(point), 7):
        step = np.zeros_like(point)
        step[index] = 1e-2
        slope = (function(point + step)[0] - function(point - step)[0]) / 2e-2
        assert slope == pytest.approx(float(gradient[index]), rel=1e-2, abs=2e-3)


@pytest.mark.parametrize("classes", [2, 5, 32, 33, 200])
def test_losses_and_scores_are_those_of_the_formula(classes: int) -> None:
    random = np.random.default_rng(classes)
    logits = random.normal(size=(50, 3, classes)).astype(np.float32) * 10
    targets = random.dirichlet(np.ones(classes), size=(50, 1)).astype(np.float32)
    losses, scores = losses_and_scores(logits, targets, "single-label")
    exponentials = np.exp(logits.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
    assert losses.dtype == scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(losses, -(targets * np.log(expected)).sum(axis=-1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_nothing_near_is_better(task: Task) -> None:
    """The objective is convex: where no neighbour is lower by more than rounding, that is the minimum."""
    examples = make_examples()
    fit = fit_linear(examples, task, penalties=(0.03,), folds=0)
    center = examples.features.mean(axis=0)
    scale = 1 / np.sqrt(np.mean((examples.features - center) ** 2))

    def value(kernel: np.ndarray, bias: np.ndarray) -> float:
        losses, _ = losses_and_scores(examples.features @ kernel + bias, examples.targets, task)
        return float(losses.mean(dtype=np.float64) + 0.015 * np.sum((kernel / scale) ** 2, dtype=np.float64))

    reached = value(fit.kernel, fit.bias)
    random = np.random.default_rng(2)
    for size in (0.003, 0.01, 0.03):
        for _ in range(20):
            kernel = fit.kernel + size * random.normal(size=fit.kernel.shape).astype(np.float32)
            assert value(kernel, fit.bias - center @ (kernel - fit.kernel)) > reached - 2e-4


def test_the_minimum_is_the_one_found_by_bisection() -> None:
    """Two classes and one feature: by symmetry one number is free."""
    features = np.array([[-2.0], [-1.0], [0.5], [-0.5], [1.0], [2.0]], np.float32)
    targets = np.eye(2, dtype=np.float32)[[0, 0, 0, 1, 1, 1]]
    examples = Examples(features, targets, np.ones(6, np.float32), np.arange(6), np.ones(6, np.bool_))
    fit = fit_linear(examples, penalties=(0.2,), folds=0)
    scale = 1 / np.sqrt(np.mean(features**2))
    x, signs = features[:, 0] * scale, np.array([-1, -1, -1, 1, 1, 1])
    low, high = 0.0, 10.0  # logits -w x and w x; d/dw of mean log(1 + exp(-2 w x sign)) + 0.2 w^2
    for _ in range(60):
        w = (low + high) / 2
        slope = np.mean(-2 * x * signs / (1 + np.exp(2 * w * x * signs))) + 0.4 * w
        low, high = (low, w) if slope > 0 else (w, high)
    assert fit.kernel[0] == pytest.approx([-w * scale, w * scale], rel=0.01)
    assert fit.bias == pytest.approx([0, 0], abs=0.02)


def test_folds_choose_a_penalty_that_serves_new_pictures() -> None:
    examples, new = make_examples(noise=3.0), make_examples(noise=3.0, rows=3000)
    # The same centres (same seed, drawn first), other pictures.
    fit = fit_linear(examples)
    losses = {
        penalty: losses_and_scores(new.features @ one.kernel + one.bias, new.targets, "single-label")[0].mean()
        for penalty in (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
        for one in [fit_linear(examples, penalties=(penalty,), folds=0)]
    }
    assert losses[fit.penalty] < 1.1 * min(losses.values())
    assert losses[fit.penalty] < losses[0.003] / 1.5
    assert dict(fit.losses)[fit.penalty] == min(loss for _, loss in fit.losses)


def test_held_out_logits_come_from_heads_that_have_not_seen_the_picture() -> None:
    """Labels drawn by lot cannot be guessed, however well the head learns the ones it sees."""
    examples = make_examples(rows=200, features=300, noise=1.0, views=3)
    lot = np.eye(3, dtype=np.float32)[np.random.default_rng(3).integers(3, size=200)]
    examples = replace(examples, targets=np.tile(lot, (3, 1)))
    fit = fit_linear(examples, penalties=(0.003,))
    assert fit.held_out is not None and fit.held_out.shape == (200, 3)
    seen = (examples.features[:200] @ fit.kernel + fit.bias).argmax(axis=1) == lot.argmax(axis=1)
    unseen = fit.held_out.argmax(axis=1) == lot.argmax(axis=1)
    assert seen.mean() > 0.95
    assert unseen.mean() < 0.5


def test_groups_stay_whole_and_classes_spread_evenly() -> None:
    examples = make_examples(rows=60, views=4)
    fold_of = _folds(examples, 5, 0)
    assert (fold_of.reshape(4, 60) == fold_of[:60]).all()
    counts = np.zeros((5, 3))
    np.add.at(counts, (fold_of[:60], examples.targets[:60].argmax(axis=1)), 1)
    assert (counts == 4).all()
    assert (_folds(examples, 5, 1) != fold_of).any()


def test_a_weight_counts_as_that_many_copies() -> None:
    examples = make_examples(rows=60)
    twice = np.arange(60) % 3 == 0
    weighted = fit_linear(replace(examples, weights=(1 + twice).astype(np.float32)), penalties=(0.1,), folds=0)
    rows = np.concatenate([np.arange(60), np.flatnonzero(twice)])
    parts = (examples.features, examples.targets, examples.weights, examples.groups, examples.judged)
    # The copies shift mean and scale of the features, which the penalty refers to: the answers agree, not the bits.
    copied = fit_linear(Examples(*(part[rows] for part in parts)), penalties=(0.1,), folds=0)
    scores = [losses_and_scores(examples.features @ f.kernel + f.bias, examples.targets, "single-label")[1]
              for f in (weighted, copied)]  # fmt: skip
    assert np.abs(scores[0] - scores[1]).max() < 0.05


def test_rows_of_a_uniform_target_are_answered_with_doubt() -> None:
    examples = make_examples(rows=90, noise=0.5)
    strange = np.random.default_rng(4).normal(5, 3, (60, 40)).astype(np.float32)
    both = Examples(
        np.concatenate([examples.features, strange]),
        np.concatenate([examples.targets, np.full((60, 3), 1 / 3, np.float32)]),
        np.ones(150, np.float32), np.arange(150), np.arange(150) < 90,
    )  # fmt: skip
    confidence = []
    for one in (examples, both):
        fit = fit_linear(one, penalties=(0.01,))
        scores = losses_and_scores(strange @ fit.kernel + fit.bias, np.full((1, 3), 1 / 3, np.float32), "single-label")
        confidence.append(scores[1].max(axis=1).mean())
    assert confidence[1] < confidence[0] - 0.1


def test_multi_label_learns_classes_that_stand_together() -> None:
    examples = make_examples(rows=150, noise=0.7)
    targets = examples.targets.copy()
    targets[:, 2] = np.maximum(targets[:, 2], targets[:, 0])  # every picture of class 0 is one of class 2 too
    fit = fit_linear(replace(examples, targets=targets), "multi-label")
    _, scores = losses_and_scores(examples.features @ fit.kernel + fit.bias, targets, "multi-label")
    assert ((scores > 0.5) == (targets > 0.5)).mean() > 0.97


def test_one_picture_is_enough_to_run() -> None:
    one = make_examples(rows=1, classes=2)
    fit = fit_linear(one)
    assert fit.held_out is None and fit.losses == ()
    assert np.isfinite(fit.kernel).all() and np.isfinite(fit.bias).all()


def test_two_runs_give_the_same_bytes() -> None:
    first, second = (fit_linear(make_examples(), seed=1) for _ in range(2))
    assert first.kernel.tobytes() == second.kernel.tobytes()


def test_ill_matched_arrays_are_refused() -> None:
    examples = make_examples()
    with pytest.raises(ValueError, match="targets must have 120 rows as the features have; got 3"):
        replace(examples, targets=examples.targets[:3])
    with pytest.raises(ValueError, match="weights must not all be 0"):
        replace(examples, weights=np.zeros(120, np.float32))
