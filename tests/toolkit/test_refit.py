"""What is taken of a trained network; features are drawn, networks are not looked into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.head import Head, HeadOptions, Layer, scores_of
from toolkit.head_fit import HeadData
from toolkit.judge import judge
from toolkit.records import ImageRecord
from toolkit.refit import as_trained, best, refitted

CLASSES = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("network")
    return load_backbone(find_architecture("mobilenet_0.25_128"), weights="none", cache_dir=folder)


def drawn(seed: int, count: int, clear: float) -> HeadData:
    """Features that say which class it is as clearly as asked, beside much that says nothing."""
    random = np.random.default_rng(seed)
    truth = np.eye(CLASSES, dtype=np.bool_)[random.integers(0, CLASSES, count)]
    features = random.normal(size=(count, 60)).astype(np.float32)
    features[:, :CLASSES] += np.float32(clear) * truth
    return HeadData(features, truth, np.arange(count) + 1000 * seed)


def nothing() -> Head:
    return Head((Layer(np.zeros((60, CLASSES), np.float32), np.zeros(CLASSES, np.float32)),), "single-label")


def test_validation_pictures_are_learned_from_and_judged_by_others(network: Backbone) -> None:
    training, validation = drawn(1, 200, 3.0), drawn(2, 80, 3.0)
    found = refitted(network, training, validation, "single-label", HeadOptions(), 1.0)
    assert found.fit.shares == ("validation",)
    assert found.fit.held_out is not None
    assert found.fit.held_out.shape == (80, CLASSES)
    right = (found.fit.held_out.argmax(axis=1) == validation.truth.argmax(axis=1)).mean()
    assert right > 0.8
    assert 0 < found.loss < np.log(CLASSES) / 2
    # They count: without them the head is another one.
    alone = refitted(network, training, drawn(3, 80, 3.0), "single-label", HeadOptions(), 1.0)
    assert np.abs(alone.fit.head.layers[0].kernel - found.fit.head.layers[0].kernel).max() > 1e-3


def test_no_picture_judges_a_head_that_has_seen_it(network: Backbone) -> None:
    """Labels by chance can be learned by heart, not foretold."""
    training, validation = drawn(1, 40, 0.0), drawn(2, 40, 0.0)
    found = refitted(network, training, validation, "single-label", HeadOptions(), 1.0)
    assert found.fit.held_out is not None
    by_heart = found.fit.head.logits(validation.features).argmax(axis=1) == validation.truth.argmax(axis=1)
    foretold = found.fit.held_out.argmax(axis=1) == validation.truth.argmax(axis=1)
    assert by_heart.mean() > 0.6
    assert foretold.mean() < 0.5
    assert found.loss > 0.9 * np.log(CLASSES)


def test_the_one_that_answers_best_is_taken(network: Backbone) -> None:
    training, validation = drawn(1, 200, 3.0), drawn(2, 80, 3.0)
    worse = as_trained(network, nothing(), validation, "single-label")
    assert worse.loss == pytest.approx(np.log(CLASSES), rel=1e-4)
    better = refitted(network, training, validation, "single-label", HeadOptions(), 0.7)
    said: list[str] = []
    assert best([worse, better], said.append) is better
    assert len(said) == 1
    assert said[0].startswith(
        "of the trained network: 70% of the way to its weights, a head trained anew with penalty "
    )
    assert f"{worse.loss:.3f} the head that was trained with it" in said[0]
    assert best([worse], said.append) is worse
    assert len(said) == 1, "nothing to choose, nothing to say"
    empty = HeadData(np.zeros((0, 60), np.float32), np.zeros((0, CLASSES), np.bool_))
    assert as_trained(network, nothing(), empty, "single-label").loss == 0


def test_the_answers_of_others_are_what_validation_is_reported_by(network: Backbone) -> None:
    data = {"training": drawn(1, 200, 2.0), "validation": drawn(2, 80, 2.0), "test": drawn(3, 40, 2.0)}
    fit = refitted(network, data["training"], data["validation"], "single-label", HeadOptions(), 1.0).fit
    images = {
        share: [ImageRecord(Path(f"{n}"), (int(row.argmax()),), f"{n:064}", f"{n}") for n, row in enumerate(rows.truth)]
        for share, rows in data.items()
    }
    judged = judge(fit.head, fit, data, images, ("a", "b", "c", "d"), "auto")  # type: ignore[arg-type]
    assert judged.calibration.images == 80
    assert judged.by_folds is None, "no training picture was held out"
    assert fit.held_out is not None
    expected = scores_of(fit.held_out / np.float32(judged.calibration.temperature), "single-label")
    np.testing.assert_allclose(judged.evaluations["validation"].scores, expected, atol=1e-6)
    test = judged.head.scores(data["test"].features)
    np.testing.assert_allclose(judged.evaluations["test"].scores, test, atol=1e-6)
