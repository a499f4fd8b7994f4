"""Figures against numbers worked out by hand, and the edges where there is nothing to divide by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import DataError
from runtime.spec import Task
from toolkit.class_figures import ClassFigures, average_precision, macro_average
from toolkit.evaluation import Evaluation, truth_matrix
from toolkit.reliability import BINS, reliability


def evaluation(
    class_ids: list[list[int]],
    scores: list[list[float]],
    task: Task = "single-label",
    thresholds: dict[str, float] | None = None,
    unknown_below: float = 0.0,
) -> Evaluation:
    count, classes = len(scores), len(scores[0])
    return Evaluation(
        labels=tuple("abcdefgh"[:classes]),
        task=task,
        sources=tuple(Path(f"{n}.jpg") for n in range(count)),
        digests=tuple(f"{n:064x}" for n in range(count)),
        truth=truth_matrix(class_ids, classes),
        scores=np.array(scores, np.float32),
        thresholds=thresholds or {},
        unknown_below=unknown_below,
    )


@pytest.fixture
def three() -> Evaluation:
    """Six pictures of a, b and c; two mistakes, one rejected hit, and two negatives of which one is found out."""
    return evaluation(
        [[0], [0], [0], [1], [1], [2], [], []],
        [
            [0.8, 0.1, 0.1],
            [0.4, 0.3, 0.3],  # right, but under the threshold
            [0.1, 0.9, 0.0],  # the most confident mistake
            [0.1, 0.7, 0.2],
            [0.2, 0.2, 0.6],  # the other one
            [0.0, 0.1, 0.9],
            [0.4, 0.4, 0.2],  # a negative that is answered unknown
            [0.9, 0.1, 0.0],  # one that is not
        ],
        unknown_below=0.5,
    )


def test_single_label_counts(three: Evaluation) -> None:
    assert (three.accuracy.correct, three.accuracy.images) == (4, 6)
    assert three.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert (three.rejected.correct, three.rejected.images) == (1, 6)
    assert (three.negatives.correct, three.negatives.images) == (1, 2)
    a, b, c = three.per_class
    assert (a.support, a.precision, a.recall, a.f1) == (3, 1.0, 2 / 3, 0.8)
    assert (b.support, b.precision, b.recall, b.f1) == (2, 0.5, 0.5, 0.5)
    assert (c.support, c.precision, c.recall) == (1, 0.5, 1.0)
    assert three.macro["precision"] == pytest.approx(2 / 3)
    assert three.macro["recall"] == pytest.approx((2 / 3 + 0.5 + 1) / 3)


def test_examples(three: Evaluation) -> None:
    mistakes = three.mistakes(10)
    assert [(e.position, e.class_id, e.truth) for e in mistakes] == [(2, 1, (0,)), (4, 2, (1,))]
    assert mistakes[0].score == pytest.approx(0.9)
    assert [e.position for e in three.narrow_hits(10)] == [1, 3, 0, 5]
    assert [e.position for e in three.narrow_hits(2)] == [1, 3]


def test_decisions_of_a_model_with_a_threshold_for_one_class() -> None:
    answers = evaluation([[0], [1]], [[0.6, 0.4], [0.4, 0.6]], thresholds={"a": 0.7})
    assert answers.decisions.tolist() == [[False, False], [False, True]]


def test_multi_label() -> None:
    answers = evaluation(
        [[0, 1], [1], [], [0]],
        [[0.9, 0.6, 0.1], [0.2, 0.35, 0.1], [0.1, 0.2, 0.8], [0.4, 0.1, 0.3]],
        task="multi-label",
        thresholds={"b": 0.3},
    )
    assert (answers.accuracy.correct, answers.accuracy.images) == (2, 4)
    a, b, c = answers.per_class
    assert (a.true_positives, a.false_positives, a.false_negatives, a.true_negatives) == (1, 0, 1, 2)
    assert (b.true_positives, b.false_positives, b.threshold) == (2, 0, pytest.approx(0.3))
    assert (c.support, c.false_positives, c.recall, c.average_precision) == (0, 1, None, None)
    assert (a.average_precision, answers.macro["average_precision"]) == (1.0, 1.0)
    assert [(e.position, e.class_id) for e in answers.mistakes(5)] == [(2, 2), (3, 0)]
    assert [(e.position, e.class_id) for e in answers.narrow_hits(5)] == [(1, 1), (0, 1)]
    assert "confusion" not in answers.to_json()
    assert answers.reliability.answers == 12


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_no_pictures(task: Task) -> None:
    nothing = evaluation([[0]], [[0.5, 0.5]], task).subset(np.array([], np.int64))
    text = json.dumps(nothing.to_json(), allow_nan=False)
    assert json.loads(text)["accuracy"]["images"] == 0
    assert nothing.mistakes(3) == nothing.narrow_hits(3) == ()
    assert nothing.macro["f1"] is None


def test_only_negatives() -> None:
    answers = evaluation([[], []], [[0.9, 0.1], [0.5, 0.5]], unknown_below=0.6)
    assert (answers.accuracy.images, answers.negatives.correct, answers.reliability.answers) == (0, 1, 0)
    json.dumps(answers.to_json(), allow_nan=False)


def test_subset(three: Evaluation) -> None:
    part = three.subset(np.array([2, 0], np.int64))
    assert part.sources == (Path("2.jpg"), Path("0.jpg"))
    assert (part.accuracy.correct, part.accuracy.images) == (1, 2)


def test_json_has_the_confusion_by_label(three: Evaluation) -> None:
    content = json.loads(json.dumps(three.to_json(), allow_nan=False))
    assert content["confusion"]["a"] == {"a": 2, "b": 1}
    assert content["unknown"]["negatives_rejected"]["count"] == 1
    assert content["per_class"][0]["f1"] == pytest.approx(0.8)


def test_what_does_not_fit() -> None:
    with pytest.raises(DataError, match="two labels"):
        evaluation([[0, 1]], [[0.5, 0.5]])
    with pytest.raises(DataError, match=r"got truth \(1, 2\), scores \(2, 2\)"):
        Evaluation(
            ("a", "b"), "single-label", (Path("x"),), ("0",), truth_matrix([[0]], 2), np.zeros((2, 2), np.float32)
        )


def test_average_precision() -> None:
    # The example in the documentation of scikit-learn's average_precision_score.
    truth, scores = np.array([0, 0, 1, 1], np.bool_), np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert average_precision(scores, truth) == pytest.approx(0.8333, abs=1e-4)
    # All scores alike say nothing: the share of positives, whatever their order.
    assert average_precision(np.full(4, 0.5, np.float32), truth) == 0.5
    assert average_precision(scores, np.zeros(4, np.bool_)) is None


def test_a_class_that_is_never_answered_gains_nothing() -> None:
    figures = [ClassFigures("a", 1, 0, 0, 4), ClassFigures("b", 0, 0, 3, 4), ClassFigures("c", 0, 0, 0, 4)]
    assert figures[1].precision is None
    assert macro_average(figures, "precision") == 0.5


def test_reliability_by_its_definition() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(500, 4)).astype(np.float32) * 3
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    class_ids = random.integers(0, 4, 500)
    found = reliability(scores, np.eye(4, dtype=np.bool_)[class_ids])
    # By the definition, bin for bin: C. Guo et al., section 2.
    best, right = scores.max(axis=1), scores.argmax(axis=1) == class_ids
    gaps = 0.0
    for low in range(BINS):
        inside = (best * BINS >= low) & (best * BINS < low + 1)
        gaps += abs(best[inside].sum() - right[inside].sum())
    assert found.error == pytest.approx(gaps / 500, abs=1e-6)
    assert sum(b.count for b in found.bins) == found.answers == 500
    assert len(found.bins) <= BINS
    assert all(low.confidence < high.confidence for low, high in zip(found.bins, found.bins[1:], strict=False))


@pytest.mark.parametrize("answers", [100, 1000])
def test_the_error_by_chance_is_that_of_true_probabilities(answers: int) -> None:
    random = np.random.default_rng(0)
    best = random.uniform(0.5, 1, answers).astype(np.float32)
    scores = np.stack([best, 1 - best], axis=1)
    found = [reliability(scores, np.eye(2, dtype=np.bool_)[(random.random(answers) > best) * 1]) for _ in range(400)]
    assert np.mean([drawn.error for drawn in found]) == pytest.approx(found[0].chance, rel=0.05)
    assert {drawn.chance for drawn in found} == {found[0].chance}  # the truth has no part in it


def test_certain_answers_leave_nothing_to_chance() -> None:
    found = reliability(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.eye(2, dtype=np.bool_))
    assert found.chance == 0


def test_reliability_of_scores_at_both_ends() -> None:
    found = reliability(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.eye(2, dtype=np.bool_), "multi-label")
    assert [(b.count, b.confidence, b.accuracy) for b in found.bins] == [(2, 0.0, 0.0), (2, 1.0, 1.0)]
    assert found.error == 0
