"""toolkit.head: learns, repeats, and stays within numbers."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.errors import UsageError
from toolkit.head import PENALTIES, ClassWeights, Floats, HeadOptions, Ints, balance, cross_entropy, train_head


def blobs(count: int, classes: int = 3, seed: int = 0) -> tuple[Floats, Ints]:
    """Features around one centre a class; the centres do not depend on the seed."""
    centres = np.random.default_rng(99).normal(0, 2, (classes, 16))
    random = np.random.default_rng(seed)
    class_ids = random.integers(0, classes, count)
    return (centres[class_ids] + random.normal(0, 0.5, (count, 16))).astype(np.float32), class_ids


def test_learns_and_generalises() -> None:
    head = train_head(blobs(200), blobs(60, seed=1), 3)
    features, class_ids = blobs(300, seed=2)
    scores = head.scores(features)
    assert scores.dtype == np.float32
    assert scores.sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    assert (scores.argmax(axis=1) == class_ids).mean() > 0.98
    assert head.penalty in PENALTIES


def test_one_seed_one_head() -> None:
    heads = [train_head(blobs(100), blobs(30, seed=1), 3, HeadOptions(epochs=5, seed=seed)) for seed in (4, 4, 5)]
    assert heads[0].kernel.tobytes() == heads[1].kernel.tobytes()
    assert heads[0].bias.tobytes() == heads[1].bias.tobytes()
    assert heads[0].kernel.tobytes() != heads[2].kernel.tobytes()


def test_keeps_the_penalty_with_the_least_validation_loss() -> None:
    training, validation = blobs(80), blobs(40, seed=1)
    options = HeadOptions(epochs=10)
    best = train_head(training, validation, 3, options)
    losses = {
        penalty: cross_entropy(
            train_head(training, validation, 3, HeadOptions(epochs=10, penalties=(penalty,))).scores(validation[0]),
            validation[1],
        )
        for penalty in PENALTIES
    }
    assert best.penalty == min(losses, key=lambda penalty: losses[penalty])


def test_counts_epochs() -> None:
    calls: list[None] = []
    train_head(blobs(20), blobs(9, seed=1), 3, HeadOptions(epochs=4, penalties=(0.1, 0.2)), lambda: calls.append(None))
    assert len(calls) == 8


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e6])
def test_features_of_any_size(scale: float) -> None:
    features, class_ids = blobs(60)
    data = (features * np.float32(scale), class_ids)
    head = train_head(data, data, 3)
    scores = head.scores(data[0])
    assert np.isfinite(scores).all()
    if scale:
        assert (scores.argmax(axis=1) == class_ids).mean() > 0.95


def test_one_picture_a_class() -> None:
    features = np.eye(2, dtype=np.float32)
    data = (features, np.array([0, 1]))
    assert train_head(data, data, 2).scores(features).argmax(axis=1).tolist() == [0, 1]


def test_no_pictures_no_scores() -> None:
    head = train_head(blobs(30), blobs(30), 3, HeadOptions(epochs=1))
    assert head.scores(np.zeros((0, 16), np.float32)).shape == (0, 3)


def test_rare_classes_count_as_much_as_common_ones() -> None:
    common, rare = blobs(400, 2), blobs(400, 2, seed=1)
    features = np.concatenate([common[0][common[1] == 0], rare[0][rare[1] == 1][:8]])
    features += np.random.default_rng(3).normal(0, 4, features.shape).astype(np.float32)
    class_ids = np.array([0] * (len(features) - 8) + [1] * 8)
    recall = {}
    for choice in ("auto", "none"):
        options = HeadOptions(class_weights=choice, penalties=(0.3,))  # type: ignore[arg-type]
        head = train_head((features, class_ids), (features, class_ids), 2, options)
        test = rare[0] + np.random.default_rng(4).normal(0, 4, rare[0].shape).astype(np.float32)
        recall[choice] = (head.scores(test).argmax(axis=1)[rare[1] == 1] == 1).mean()
    assert recall["auto"] > recall["none"] + 0.1


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
    weights = balance(class_ids, len(counts), choice)
    assert weights.tolist() == pytest.approx(expected)
    assert weights[class_ids].mean() == pytest.approx(1.0)


def test_label_smoothing_makes_scores_humble() -> None:
    features, class_ids = blobs(300)
    highest = {}
    for smoothing in (0.0, 0.2):
        options = HeadOptions(label_smoothing=smoothing, penalties=(0.003,))
        highest[smoothing] = train_head((features, class_ids), (features, class_ids), 3, options).scores(features).max()
    assert highest[0.0] > 0.98
    assert highest[0.2] < 0.95


def test_label_smoothing_out_of_range() -> None:
    with pytest.raises(UsageError, match="label-smoothing must be 0 or more and less than 1, not 1"):
        HeadOptions(label_smoothing=1)
