"""Scores to answers: the best classes, and the labels that hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from runtime.errors import UsageError
from runtime.file_kind import shown
from runtime.spec import Task

if TYPE_CHECKING:  # options hold rules, and are read before numpy is loaded
    import numpy as np
    from numpy.typing import NDArray


class Prediction(NamedTuple):
    """One class's answer: id, label, and score in [0, 1]."""

    class_id: int
    label: str
    score: float


class Stages(NamedTuple):
    """Milliseconds that each stage of one answer took."""

    decode: float
    preprocess: float
    invoke: float
    postprocess: float = 0.0


#: The stages of an answer, in their order.
STAGES = Stages._fields


@dataclass(frozen=True)
class Classification:
    """The answer for one picture.

    Attributes:
        predictions: the best classes, best first; with a multi-label model all that hold are among them.
        labels: what the picture shows: one label, or none where the best score is too low for an answer
            (``unknown``); with a multi-label model all labels whose scores reach their thresholds.
        milliseconds: what it cost.
    """

    predictions: tuple[Prediction, ...]
    labels: tuple[str, ...]
    milliseconds: Stages

    @property
    def unknown(self) -> bool:
        """Whether the picture shows nothing that the model knows."""
        return not self.labels


@dataclass(frozen=True)
class AnswerRules:
    """Which of a model's answers are wanted.

    Attributes:
        top_k: number of predictions at most; with a multi-label model there may be more, if more labels hold.
        threshold: least score of a prediction, 0..1.
        allow: the only labels that may be answered; empty means all.
        deny: labels that are never answered.
        smooth: seconds over which a camera's scores are averaged, see ``runtime.smoothing``; 0 takes each frame by
            itself.
    """

    top_k: int = 5
    threshold: float = 0.0
    allow: tuple[str, ...] = field(default=())
    deny: tuple[str, ...] = field(default=())
    smooth: float = 0.0

    def classes(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """Which classes may be answered, bool (classes,).

        Args:
            labels: of a model, one for each class.

        Raises:
            UsageError: a label is named that the model does not have, or none is left.
        """
        import numpy as np

        for option, names in (("--allow", self.allow), ("--deny", self.deny)):
            for name in names:
                require_label(option, name, labels)
        chosen = np.array([(not self.allow or name in self.allow) and name not in self.deny for name in labels])
        if not chosen.any():
            raise UsageError("--allow and --deny leave no label to answer")
        return chosen


def require_label(option: str, name: str, known: Sequence[str]) -> None:
    """Refuse a label that the model never answers.

    Args:
        option: that names it.
        name: of the label.
        known: all that can be answered.

    Raises:
        UsageError: the label is none of them.
    """
    if name in known:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    advice = f"; is {shown(near[0])} meant?" if near else "; runtime info MODEL shows its labels"
    raise UsageError(f"{option} {shown(name)}: the model has no such label{advice}")


def rank_scores(
    scores: NDArray[np.float32],
    labels: Sequence[str],
    rules: AnswerRules,
    holding: Sequence[str] = (),
    classes: NDArray[np.bool_] | None = None,
) -> tuple[Prediction, ...]:
    """The best classes, best first; equal scores in the order of their ids.

    Args:
        scores: float32 (classes,), 0..1.
        labels: of the classes.
        rules: how many of them, from which score on; ``top_k`` 0 gives none.
        holding: labels that hold; where there are several, none is left out for ``top_k``.
        classes: which may be answered, as ``rules.classes`` gives it; None means all.
    """
    order = _order(scores, classes) if rules.top_k > 0 else ()
    kept = [i for place, i in enumerate(order) if place < rules.top_k or labels[i] in holding]
    return tuple(Prediction(int(i), labels[i], float(scores[i])) for i in kept if float(scores[i]) >= rules.threshold)


def answered_labels(
    scores: NDArray[np.float32],
    labels: Sequence[str],
    least: Sequence[float],
    task: Task,
    classes: NDArray[np.bool_] | None = None,
) -> tuple[str, ...]:
    """The labels that hold, best first; see ``Classification.labels``.

    Args:
        scores: float32 (classes,), 0..1.
        labels: of the classes.
        least: the score from which on each class counts as an answer, 0..1.
        task: with ``single-label`` only the best class can hold.
        classes: which may be answered; None means all.
    """
    order = _order(scores, classes)
    if task == "single-label":
        order = order[:1]
    return tuple(labels[i] for i in order if float(scores[i]) >= least[i])


def _order(scores: NDArray[np.float32], classes: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    order = (-scores).argsort(kind="stable")
    return order if classes is None else order[classes[order]]
