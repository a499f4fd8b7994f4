"""A model's answers on pictures whose classes are known, and every figure that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from runtime.errors import DataError
from runtime.spec import Task
from toolkit.class_figures import ClassFigures, average_precision, macro_average
from toolkit.reliability import Reliability, reliability

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Score from which on a multi-label class counts as an answer where no threshold was chosen.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Example:
    """One picture to look at.

    Attributes:
        position: of the picture in the evaluation.
        class_id: the class that was answered, or in multi-label work the class that the example is about.
        score: of that class, 0..1.
        truth: ids of the picture's classes; empty for a negative.
    """

    position: int
    class_id: int
    score: float
    truth: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """Scores and truth of a number of pictures.

    With one label a picture, a row of ``truth`` has one True; a row with none is a negative, a picture of no
    class, whose right answer is ``unknown``. Negatives are counted apart and touch no other figure. With
    several labels a picture, every row counts, and a picture without labels is right where nothing is answered.

    Attributes:
        labels: of the model.
        task: single- or multi-label.
        sources: the pictures' files.
        digests: hex sha256 of each file.
        truth: bool (pictures, classes).
        scores: float32 (pictures, classes), 0..1.
        thresholds: label -> least score that counts as an answer.
        unknown_below: the answer is ``unknown`` where the best score is lower; 0 means never. Single-label only.

    Raises:
        DataError: numbers of pictures or classes that do not fit each other; two labels in single-label work.
    """

    labels: tuple[str, ...]
    task: Task
    sources: tuple[Path, ...]
    digests: tuple[str, ...]
    truth: Bools
    scores: Floats
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unknown_below: float = 0.0

    def __post_init__(self) -> None:
        shape = (len(self.sources), len(self.labels))
        if self.truth.shape != shape or self.scores.shape != shape or len(self.digests) != shape[0]:
            raise DataError(
                f"an evaluation of {shape[0]} pictures and {shape[1]} labels got truth {self.truth.shape}, "
                f"scores {self.scores.shape} and {len(self.digests)} digests"
            )
        if self.task == "single-label" and self.truth.sum(axis=1).max(initial=0) > 1:
            raise DataError("a picture has two labels, the model gives one answer; evaluate a multi-label model")

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels."""
        return self.task == "multi-label"

    @cached_property
    def least_scores(self) -> Floats:
        """The score from which on each class counts as an answer, float32 (classes,)."""
        missing = DEFAULT_THRESHOLD if self.multi_label else 0.0
        least = [self.thresholds.get(label, missing) for label in self.labels]
        floor = np.float32(0 if self.multi_label else self.unknown_below)
        result: Floats = np.maximum(np.array(least, np.float32), floor)
        return result

    @cached_property
    def counted(self) -> Bools:
        """The pictures that accuracy counts, bool (pictures,): all but the negatives of single-label work."""
        if self.multi_label:
            return np.ones(len(self.sources), np.bool_)
        has_class: Bools = np.any(self.truth, axis=1, keepdims=False)
        return has_class

    @cached_property
    def answers(self) -> Ints:
        """The class with the best score of each picture, int64 (pictures,), whether or not it is high enough."""
        best: Ints = self.scores.argmax(axis=1).astype(np.int64)
        return best

    @cached_property
    def decisions(self) -> Bools:
        """The classes that are answered, bool (pictures, classes); a row of False is ``unknown``."""
        high = self.scores >= self.least_scores
        if self.multi_label:
            return high
        best = np.zeros_like(high)
        best[np.arange(len(best)), self.answers] = True
        return best & high

    @cached_property
    def _right(self) -> Bools:
        """The pictures whose answer is right, rejection left aside, bool (pictures,)."""
        if self.multi_label:
            right: Bools = (self.decisions == self.truth).all(axis=1)
            return right
        return self.truth[np.arange(len(self.truth)), self.answers]

    @cached_property
    def accuracy(self) -> Accuracy:
        """Single-label: the best score is the right class's. Multi-label: exactly the right labels are answered."""
        return Accuracy(int((self._right & self.counted).sum()), int(self.counted.sum()))

    @cached_property
    def rejected(self) -> Accuracy:
        """Pictures of the model's classes that are answered ``unknown`` (multi-label: with no label)."""
        unknown = ~self.decisions.any(axis=1) & self.counted & self.truth.any(axis=1)
        return Accuracy(int(unknown.sum()), int((self.counted & self.truth.any(axis=1)).sum()))

    @cached_property
    def negatives(self) -> Accuracy:
        """Pictures of no class that are answered ``unknown``, as they should be."""
        negative = ~self.truth.any(axis=1)
        return Accuracy(int((negative & ~self.decisions.any(axis=1)).sum()), int(negative.sum()))

    @cached_property
    def confusion(self) -> Ints:
        """Single-label: pictures of each class (rows) by the class with the best score (columns), int64."""
        matrix = np.zeros((len(self.labels), len(self.labels)), np.int64)
        np.add.at(matrix, (self.truth[self.counted].argmax(axis=1), self.answers[self.counted]), 1)
        return matrix

    @cached_property
    def per_class(self) -> tuple[ClassFigures, ...]:
        """Counts and figures of each class; single-label answers are taken by the best score."""
        if self.multi_label:
            answered, truth, scores = self.decisions, self.truth, self.scores
        else:
            truth, scores = self.truth[self.counted], self.scores[self.counted]
            answered = np.eye(len(self.labels), dtype=np.bool_)[self.answers[self.counted]]
        return tuple(
            ClassFigures(
                label=label,
                true_positives=int((answered[:, c] & truth[:, c]).sum()),
                false_positives=int((answered[:, c] & ~truth[:, c]).sum()),
                false_negatives=int((~answered[:, c] & truth[:, c]).sum()),
                pictures=len(truth),
                average_precision=average_precision(scores[:, c], truth[:, c]) if self.multi_label else None,
                threshold=float(self.least_scores[c]) if self.multi_label else None,
            )
            for c, label in enumerate(self.labels)
        )

    @cached_property
    def macro(self) -> dict[str, float | None]:
        """Unweighted means over the classes that have pictures; see ``macro_average``."""
        names = ("precision", "recall", "f1", *(("average_precision",) if self.multi_label else ()))
        return {name: macro_average(self.per_class, name) for name in names}

    @cached_property
    def reliability(self) -> Reliability:
        """How often scores of each height are right; in multi-label work of all labels together."""
        return reliability(self.scores[self.counted], self.truth[self.counted], self.task)

    def subset(self, rows: Ints) -> Evaluation:
        """The answers on some of the pictures, int64 positions."""
        return replace(
            self,
            sources=tuple(self.sources[row] for row in rows),
            digests=tuple(self.digests[row] for row in rows),
            truth=self.truth[rows],
            scores=self.scores[rows],
        )

    def mistakes(self, count: int) -> tuple[Example, ...]:
        """The most confident mistakes, the worst first; a picture stands in it once."""
        return self._examples(self._right, count, wrong=True)

    def narrow_hits(self, count: int) -> tuple[Example, ...]:
        """The least confident right answers, the narrowest first."""
        return self._examples(self._right, count, wrong=False)

    def _examples(self, right: Bools, count: int, *, wrong: bool) -> tuple[Example, ...]:
        rows = np.flatnonzero(self.counted & (right != wrong))
        if self.multi_label:
            margins = _margins(self.scores[rows], self.least_scores)
            mistaken = self.decisions[rows] != self.truth[rows]
            if wrong:  # the label that lies farthest on the wrong side of its threshold
                classes = np.where(mistaken, margins, -1.0).argmax(axis=1)
            else:  # the label of the picture that just made it; any label where it has none
                has = self.truth[rows] | ~self.truth[rows].any(axis=1, keepdims=True)
                classes = np.where(has, margins, 2.0).argmin(axis=1)
            confidence = margins[np.arange(len(rows)), classes]
        else:
            classes = self.answers[rows]
            confidence = self.scores[rows, classes]
        order = np.argsort(-confidence if wrong else confidence, kind="stable")[:count]
        return tuple(self.example(int(rows[i]), int(classes[i])) for i in order)

    def example(self, position: int, class_id: int | None = None) -> Example:
        """A picture with the class it was answered, or the one named."""
        chosen = int(self.answers[position]) if class_id is None else class_id
        truth = tuple(int(c) for c in np.flatnonzero(self.truth[position]))
        return Example(position, chosen, float(self.scores[position, chosen]), truth)

    def to_json(self) -> dict[str, Any]:
        """All figures, for metrics files; what cannot be said (0 / 0) is null."""
        result: dict[str, Any] = {
            "task": self.task,
            "pictures": len(self.sources),
            "accuracy": self.accuracy.to_json(),
            "per_class": [figures.to_json() for figures in self.per_class],
            "macro": dict(self.macro),
            "calibration": self.reliability.to_json(),
            "unknown": {
                "below": self.unknown_below,
                "rejected": _share(self.rejected),
                "negatives_rejected": _share(self.negatives),
            },
        }
        if not self.multi_label:
            result["confusion"] = {
                self.labels[row]: {self.labels[column]: int(counts[column]) for column in np.flatnonzero(counts)}
                for row, counts in enumerate(self.confusion)
            }
        return result


def truth_matrix(class_ids: Sequence[Sequence[int]], classes: int) -> Bools:
    """``truth`` of an evaluation, bool (pictures, classes), from the class ids of each picture."""
    truth = np.zeros((len(class_ids), classes), np.bool_)
    for row, ids in zip(truth, class_ids, strict=True):
        row[list(ids)] = True
    return truth


def _margins(scores: Floats, least: Floats) -> Floats:
    """Distance of each score from its class's threshold, 1 at the end of the scale on its side."""
    above = (scores - least) / np.maximum(1 - least, 1e-6)
    below = (least - scores) / np.maximum(least, 1e-6)
    margins: Floats = np.where(scores >= least, above, below)
    return margins


def _share(counts: Accuracy) -> dict[str, Any]:
    low, high = counts.interval()
    value = counts.value if counts.images else None
    return {"share": value, "count": counts.correct, "images": counts.images, "interval_95": [low, high]}
