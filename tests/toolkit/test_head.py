"""toolkit.head: learns, repeats, and stays within numbers."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.head import PENALTIES, Floats, HeadOptions, Ints, cross_entropy, train_head


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
