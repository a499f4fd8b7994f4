"""toolkit.judge: what a head is worth, by pictures that it has not learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.spec import Task
from toolkit.head import HeadOptions
from toolkit.head_fit import HeadData, HeadFit, fit_head, fit_one
from toolkit.judge import HELD_OUT_RATE, MOST_HELD_OUT, hold_out, judge
from toolkit.records import ImageRecord
from toolkit.split import Share

Data = dict[Share, HeadData]
COUNTS: dict[Share, int] = {"training": 240, "validation": 120, "test": 120}
LABELS = ("one", "two", "three")


def make_data(
    classes: int = 3, spread: float = 1.0, negatives: bool = False, counts: dict[Share, int] = COUNTS
) -> Data:
    """Features around a centre for each class; every seventh picture around one of no class, if asked for."""
    random = np.random.default_rng(0)
    centres = 6 * np.eye(classes + 1, 16)
    data: Data = {}
    for number, (share, count) in enumerate(counts.items()):
        class_ids = np.arange(count) % classes
        if negatives:
            class_ids[::7] = classes
        features = (centres[class_ids] + random.normal(0, spread, (count, 16))).astype(np.float32)
        truth = np.eye(classes + 1, dtype=np.bool_)[class_ids][:, :classes]
        data[share] = HeadData(features, truth, 10_000 * number + np.arange(count))
    return data


def images(data: Data) -> dict[Share, list[ImageRecord]]:
    return {
        share: [
            ImageRecord(Path(f"{share}/{row}.png"), tuple(int(i) for i in np.flatnonzero(truth)), f"{share}{row}")
            for row, truth in enumerate(rows.truth)
        ]
        for share, rows in data.items()
    }


def fitted(data: Data, task: Task = "single-label") -> HeadFit:
    return fit_head(data["training"], data["validation"], task, HeadOptions())


def test_validation_is_judged_by_heads_that_never_saw_it() -> None:
    data = make_data(spread=4.0)
    fit = fitted(data)
    assert fit.held_out is not None
    judged = judge(fit.head, fit, data, images(data), LABELS, "off")
    assert judged.calibration.images == 360
    assert judged.calibration.where == "held-out pictures"
    right = fit.held_out.argmax(axis=1) == np.concatenate(
        [data[share].truth.argmax(axis=1) for share in ("training", "validation")]
    )
    assert judged.by_folds is not None
    assert (judged.by_folds.correct, judged.by_folds.images) == (right.sum(), 360)
    assert judged.evaluations["validation"].accuracy.correct == right[240:].sum()
    learned = judged.head.scores(data["validation"].features).argmax(axis=1)
    assert not np.array_equal(learned, judged.evaluations["validation"].answers), "else this proves nothing"
    # The test share is answered by the head itself.
    test = judged.evaluations["test"]
    np.testing.assert_array_equal(test.scores, judged.head.scores(data["test"].features))
    assert [path.name for path in test.sources] == [f"{row}.png" for row in range(120)]
    assert set(judged.reliability) == {"before", "after"}
    assert judged.held_out == {}


def test_without_held_out_answers_validation_decides() -> None:
    data = make_data(spread=2.0)
    head = fit_one(data["training"], "single-label", 0.01, HeadOptions())
    for evidence in (None, HeadFit(head)):
        judged = judge(head, evidence, data, images(data), LABELS, 0.1)
        assert (judged.calibration.images, judged.calibration.where) == (120, "validation")
        assert judged.by_folds is None
        assert judged.rejection.known.images == 120
        scores = judged.head.scores(data["validation"].features).max(axis=1)
        assert (scores < judged.rejection.unknown_below).sum() == judged.rejection.known.correct <= 12
        assert judged.evaluations["test"].unknown_below == judged.rejection.unknown_below


def test_pictures_of_no_class_count_apart() -> None:
    data = make_data(spread=0.5, negatives=True)
    fit = fitted(data)
    judged = judge(fit.head, fit, data, images(data), LABELS, "auto")
    assert judged.rejection.unknown_below > 0
    negatives = len(range(0, 240, 7)) + len(range(0, 120, 7))
    assert (judged.rejection.known.images, judged.rejection.negatives.images) == (360 - negatives, negatives)
    assert judged.calibration.images == 360 - negatives
    assert judged.by_folds is not None
    assert judged.by_folds.images == 360 - negatives
    test = judged.evaluations["test"]
    assert (test.accuracy.images, test.negatives.images) == (102, 18)
    assert test.negatives.value > 0.9
    assert test.rejected.value <= 0.1
    off = judge(fit.head, fit, data, images(data), LABELS, "off")
    assert off.rejection.unknown_below == off.evaluations["test"].unknown_below == 0
    assert off.evaluations["test"].accuracy == test.accuracy, "rejection changes no accuracy"


def test_several_labels_have_thresholds_and_no_limit() -> None:
    data = make_data()
    for rows in data.values():
        rows.truth[:, 1] |= rows.truth[:, 0]
    fit = fitted(data, "multi-label")
    judged = judge(fit.head, fit, data, images(data), LABELS, 0.5)
    assert judged.rejection.unknown_below == 0
    assert set(judged.thresholds) == set(LABELS)
    assert judged.evaluations["test"].thresholds == judged.thresholds
    assert judged.evaluations["test"].accuracy.value > 0.9
    assert judged.by_folds is not None
    assert judged.by_folds.value > 0.9


def test_empty_shares() -> None:
    data = make_data()
    data |= {share: data[share].where(np.zeros(120, np.bool_)) for share in ("validation", "test")}
    head = fit_one(data["training"], "single-label", 0.01, HeadOptions())
    judged = judge(head, None, data, images(data), LABELS, "auto")
    assert judged.rejection.unknown_below == 0
    assert "no pictures were held out" in judged.rejection.why
    assert judged.calibration.images == 0
    assert judged.reliability == {}
    assert judged.evaluations["test"].accuracy.images == 0
    assert hold_out(data, LABELS, 0.01, HeadOptions(), "single-label") == {}


def test_a_class_that_was_held_out_is_unknown() -> None:
    data = make_data(classes=4, negatives=True)
    held = hold_out(data, ("a", "b", "c", "d"), 0.01, HeadOptions(), "single-label")
    assert list(held) == ["a", "b", "c", "d"]
    for class_id, figures in enumerate(held.values()):
        # All its pictures are strange, whatever their share; the known are those of the other classes alone.
        assert figures.rejected.images == sum(int(rows.truth[:, class_id].sum()) for rows in data.values())
        others = data["test"].truth[:, [c for c in range(4) if c != class_id]]
        assert figures.known.images == others.any(axis=1).sum()
        assert figures.rejected.value > 0.9
        assert figures.known.value <= 3 * HELD_OUT_RATE


def test_what_is_held_out() -> None:
    small: dict[Share, int] = {"training": 90, "validation": 30, "test": 30}
    data = make_data(classes=15, counts=small)
    labels = tuple(f"class {number}" for number in range(15))
    held = hold_out(data, labels, 0.01, HeadOptions(), "single-label")
    assert len(held) == MOST_HELD_OUT
    assert {labels[0], labels[-1]} <= set(held), "by even steps"
    assert hold_out(data, labels, 0.01, HeadOptions(), "multi-label") == {}
    two = make_data(classes=2)
    assert hold_out(two, ("a", "b"), 0.01, HeadOptions(), "single-label") == {}, "one class is no classifier"


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_a_temperature_changes_no_answer(spread: float) -> None:
    data = make_data(spread=spread)
    fit = fitted(data)
    judged = judge(fit.head, fit, data, images(data), LABELS, "off")
    before, after = fit.head.logits(data["test"].features), judged.head.logits(data["test"].features)
    np.testing.assert_allclose(after * judged.calibration.temperature, before, rtol=1e-4, atol=1e-4)
    assert (judged.evaluations["test"].answers == before.argmax(axis=1)).all()
