"""toolkit.head_fit: learns, repeats, judges by pictures it has not seen, and stays within numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toolkit.head import Floats, HeadOptions, cross_entropy, scores_of
from toolkit.head_fit import HeadData, Step, examples_of, fit_head, fit_one, progress_total

NOTHING = HeadData(np.zeros((0, 16), np.float32), np.zeros((0, 3), np.bool_))
CENTRES = np.random.default_rng(99).normal(0, 2, (3, 16))


def blobs(count: int, seed: int = 0, spread: float = 0.5) -> HeadData:
    """Features around one centre a class; the centres do not depend on the seed."""
    random = np.random.default_rng(seed)
    class_ids = random.integers(0, 3, count)
    features = (CENTRES[class_ids] + random.normal(0, spread, (count, 16))).astype(np.float32)
    return HeadData(features, np.eye(3, dtype=np.bool_)[class_ids], 10_000 * seed + np.arange(count))


def accuracy(scores: Floats, data: HeadData) -> float:
    return float((scores.argmax(axis=1) == data.truth.argmax(axis=1)).mean())


@pytest.mark.parametrize("options", [HeadOptions(), HeadOptions(hidden=16), HeadOptions(steps=400)])
def test_learns_and_generalises(options: HeadOptions) -> None:
    calls: list[None] = []
    fit = fit_head(blobs(200), blobs(60, 1), "single-label", options, lambda: calls.append(None))
    test = blobs(300, 2)
    scores = fit.head.scores(test.features)
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    assert accuracy(scores, test) > 0.98
    assert len(fit.head.layers) == (2 if options.hidden else 1)
    assert len(calls) == progress_total(options)[0]


@pytest.mark.parametrize("options", [HeadOptions(), HeadOptions(hidden=8), HeadOptions(steps=50)])
def test_one_seed_one_head(options: HeadOptions) -> None:
    heads = [fit_head(blobs(100), blobs(30, 1), "single-label", replace(options, seed=seed)).head for seed in (4, 4, 5)]
    bytes_of = [b"".join(layer.kernel.tobytes() + layer.bias.tobytes() for layer in head.layers) for head in heads]
    assert bytes_of[0] == bytes_of[1]
    if options.hidden or options.steps:  # the optimum of a linear head depends on no seed
        assert bytes_of[0] != bytes_of[2]


def test_held_out_answers_come_from_heads_that_never_saw_the_picture() -> None:
    # Nothing can be learned of labels drawn by lot: whoever knows more than chance has looked.
    random = np.random.default_rng(0)
    training = HeadData(random.normal(0, 1, (120, 200)).astype(np.float32), np.eye(2, dtype=np.bool_)[[0, 1] * 60])
    validation = HeadData(
        random.normal(0, 1, (40, 200)).astype(np.float32), np.eye(2, dtype=np.bool_)[[0, 1] * 20], 500 + np.arange(40)
    )
    fit = fit_head(training, validation, "single-label", HeadOptions())
    assert fit.held_out is not None
    assert fit.held_out.shape == (160, 2), "training, then validation"
    both = training.followed_by(validation)
    assert accuracy(fit.head.scores(both.features), both) > 0.9
    assert 0.3 < accuracy(fit.held_out, both) < 0.7


def test_views_of_a_picture_are_held_out_with_it() -> None:
    random = np.random.default_rng(1)
    plain = HeadData(random.normal(0, 1, (80, 300)).astype(np.float32), np.eye(2, dtype=np.bool_)[[0, 1] * 40])
    views = HeadData(plain.features + np.float32(0.01), plain.truth, plain.groups, np.zeros(80, np.bool_))
    fit = fit_head(plain.followed_by(views), NOTHING, "single-label", HeadOptions())
    assert fit.held_out is not None
    assert len(fit.held_out) == 80, "only pictures as they are, judge"
    assert accuracy(fit.held_out, plain) < 0.75, "a copy in training would give it away"


def test_the_penalty_with_the_least_held_out_loss_is_kept() -> None:
    fit = fit_head(blobs(90, spread=4.0), NOTHING, "single-label", HeadOptions())
    penalties = dict(fit.losses)
    assert fit.head.penalty == min(penalties, key=lambda penalty: penalties[penalty])
    assert len(penalties) > 2


def test_validation_is_left_alone_where_that_is_asked_for() -> None:
    training, validation = blobs(60, spread=3), blobs(40, 1, spread=3)
    alone = fit_head(training, validation, "single-label", HeadOptions(), learn_validation=False)
    without = fit_head(training, NOTHING, "single-label", HeadOptions())
    assert alone.head.layers[0].kernel.tobytes() == without.head.layers[0].kernel.tobytes()


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e6])
def test_features_of_any_size(scale: float) -> None:
    data = blobs(60)
    scaled = replace(data, features=data.features * np.float32(scale))
    scores = fit_head(scaled, NOTHING, "single-label", HeadOptions()).head.scores(scaled.features)
    assert np.isfinite(scores).all()
    if scale:
        assert accuracy(scores, data) > 0.95


def test_one_picture_a_class() -> None:
    data = HeadData(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.bool_))
    fit = fit_head(data, replace(NOTHING, features=NOTHING.features[:, :2]), "single-label", HeadOptions())
    assert accuracy(fit.head.scores(data.features), data) == 1.0


def test_rare_classes_count_as_much_as_common_ones() -> None:
    data, test = blobs(600, spread=5.0), blobs(600, 1, spread=5.0)
    rare = data.truth[:, 0]
    few = data.where(~rare | (np.cumsum(rare) <= 12))
    recall = {}
    for choice in ("auto", "none"):
        head = fit_one(few, "single-label", 0.3, HeadOptions(class_weights=choice))  # type: ignore[arg-type]
        recall[choice] = (head.scores(test.features).argmax(axis=1)[test.truth[:, 0]] == 0).mean()
    assert recall["auto"] > recall["none"] + 0.1


def test_a_picture_counts_the_same_however_many_views_it_has() -> None:
    data = blobs(30)
    views = data.where(np.repeat(np.arange(10), 4))
    views = replace(views, plain=np.zeros(40, np.bool_))
    weights = examples_of(data.followed_by(views), "single-label", HeadOptions(class_weights="none")).weights
    groups = data.followed_by(views).groups
    totals = np.bincount(np.unique(groups, return_inverse=True)[1], weights)
    assert totals == pytest.approx(np.ones(30))


def test_label_smoothing_makes_scores_humble() -> None:
    data = blobs(300)
    highest = [
        fit_one(data, "single-label", 0.003, HeadOptions(label_smoothing=s)).scores(data.features).max()
        for s in (0.0, 0.2)
    ]
    assert highest[0] > 0.98
    assert highest[1] < 0.95


def test_several_labels() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (400, 16)).astype(np.float32)
    truth = features[:, :3] + random.normal(0, 0.1, (400, 3)) > 0.5
    fit = fit_head(HeadData(features, truth), NOTHING, "multi-label", HeadOptions(class_weights="none"))
    assert fit.held_out is not None
    held_out = scores_of(fit.held_out, "multi-label")
    assert ((held_out > 0.5) == truth).mean() > 0.95
    assert cross_entropy(held_out, truth, "multi-label") < 0.6
    assert fit.head.activation == "sigmoid"


def test_progress_ends_at_its_total_also_where_training_ends_early() -> None:
    data = blobs(60)
    wrong = replace(data, truth=np.roll(data.truth, 1, axis=1))  # from the first epoch on it only gets worse
    alone = replace(data, groups=np.zeros(60, np.int64))  # nothing can be held out: one penalty is tried
    for training, validation, options in (
        (data, wrong, HeadOptions(hidden=4)),
        (alone, NOTHING, HeadOptions()),
    ):
        calls: list[int] = []
        fit_head(training, validation, "single-label", options, lambda seen=calls: seen.append(1))  # type: ignore[misc]
        assert len(calls) == progress_total(options)[0]


def test_steps_are_told_one_by_one() -> None:
    seen: list[Step] = []
    options = HeadOptions(steps=7, learning_rate=0.1, batch_size=5)
    losses = []

    def look(step: Step) -> None:
        seen.append(step)
        losses.append(cross_entropy(step.head.scores(data.features), data.truth, "single-label"))

    data = blobs(50)
    fit = fit_head(data, NOTHING, "single-label", options, on_step=look)
    assert [step.number for step in seen] == [1, 2, 3, 4, 5, 6, 7]
    # As retrain.py: the last step's weights, whatever validation says, which here is ever worse.
    wrong = replace(data, truth=np.roll(data.truth, 1, axis=1))
    judged = fit_head(data, wrong, "single-label", options).head.layers[0]
    for kept in (fit.head.layers[0], judged):
        assert kept.kernel.tobytes() == seen[-1].head.layers[0].kernel.tobytes()
    assert losses[-1] < losses[0] < np.log(3)
    assert fit.held_out is None
