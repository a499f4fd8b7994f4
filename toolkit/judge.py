"""What a trained head is worth: calibrated scores, thresholds, the limit of "unknown", figures of each share."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from converters.accuracy import Accuracy
from converters.answers import answers
from runtime.processors import processors
from runtime.spec import Task
from toolkit.calibrate import Calibration, calibrate
from toolkit.evaluation import Evaluation
from toolkit.head import Bools, Floats, Head, HeadOptions, scores_of
from toolkit.head_fit import HeadData, HeadFit, fit_one
from toolkit.head_training import SMALL
from toolkit.records import ImageRecord
from toolkit.reject import RejectChoice, Rejection, choose_rejection
from toolkit.reliability import Reliability, reliability
from toolkit.split import Share
from toolkit.thresholds import choose_thresholds

#: Classes that are held out, at most, to see what becomes of pictures of unknown classes.
MOST_HELD_OUT = 10
#: Known pictures that may be rejected in that trial.
HELD_OUT_RATE = 0.05


@dataclass(frozen=True)
class HeldOut:
    """What becomes of pictures of a class that training never saw.

    Attributes:
        rejected: of those pictures, how many are answered "unknown" ...
        known: ... at a limit under which so many of the known test pictures fall.
    """

    rejected: Accuracy
    known: Accuracy


@dataclass(frozen=True)
class Judged:
    """A head ready to be handed over, and its figures.

    Attributes:
        head: with its temperature.
        calibration: of the scores.
        thresholds: label -> least score, multi-label only.
        rejection: the limit of "unknown"; multi-label never has one.
        evaluations: share -> answers.
        reliability: calibration plots, "before" and "after" the temperature.
        held_out: class -> what became of its pictures when it was held out of training.
        by_folds: accuracy on training and validation pictures, each answered by a head that never saw it; None where
            nothing was held out.
    """

    head: Head
    calibration: Calibration
    thresholds: dict[str, float]
    rejection: Rejection
    evaluations: dict[Share, Evaluation]
    reliability: dict[str, Reliability]
    held_out: dict[str, HeldOut]
    by_folds: Accuracy | None = None


def judge(
    head: Head,
    evidence: HeadFit | None,
    data: Mapping[Share, HeadData],
    images: Mapping[Share, list[ImageRecord]],
    labels: tuple[str, ...],
    reject: RejectChoice | float,
) -> Judged:
    """Calibrate, choose limits, evaluate all shares.

    Calibration and limits need answers to pictures that the model has not learned from. Where folds were held out,
    those are the training and validation pictures, each answered by a head that never saw it, and the validation
    share is evaluated by those answers too. Else it is the validation share.

    Args:
        head: trained.
        evidence: with ``held_out`` logits, or None.
        data: features and truth of each share, a row a picture.
        images: the same pictures.
        labels: of the classes.
        reject: see ``toolkit.reject``.
    """
    logits, truth, where = _unseen(head, evidence, data)
    head, calibration = calibrate(head, logits, truth, where)
    scores = scores_of(logits / np.float32(calibration.temperature), head.task)
    multi_label = head.task == "multi-label"
    thresholds = choose_thresholds(scores, truth, labels) if multi_label else {}
    rejection = choose_rejection(scores, truth, "off" if multi_label else reject)
    answered = {share: head.scores(rows.features) for share, rows in data.items()}
    if evidence is not None and evidence.held_out is not None:
        held = len(data["validation"])
        if held and len(scores) == sum(len(data[share]) for share in evidence.shares):
            answered["validation"] = scores[-held:]
    evaluations = {
        share: Evaluation(
            labels=labels,
            task=head.task,
            sources=tuple(image.path for image in images[share]),
            digests=tuple(image.digest for image in images[share]),
            truth=rows.truth,
            scores=answered[share],
            thresholds=thresholds,
            unknown_below=rejection.unknown_below,
        )
        for share, rows in data.items()
    }
    known = truth.any(axis=1) | multi_label
    plots = {
        when: reliability(found[known], truth[known], head.task)
        for when, found in (("before", scores_of(logits, head.task)), ("after", scores))
        if known.any()
    }
    by_folds = None
    if evidence is not None and evidence.held_out is not None and "training" in evidence.shares:
        least = [thresholds.get(label, 0.5) for label in labels]
        by_folds = Accuracy.of(answers(scores[known], head.task, least), truth[known])
    return Judged(head, calibration, thresholds, rejection, evaluations, plots, {}, by_folds)


def _unseen(head: Head, evidence: HeadFit | None, data: Mapping[Share, HeadData]) -> tuple[Floats, Bools, str]:
    """Logits and truth of pictures the model has not learned from, and what they are."""
    if evidence is not None and evidence.held_out is not None:
        truth = np.concatenate([data[share].truth for share in evidence.shares])[: len(evidence.held_out)]
        return evidence.held_out, truth, "held-out pictures"
    validation = data["validation"]
    return head.logits(validation.features), validation.truth, "validation"


def hold_out(
    data: Mapping[Share, HeadData], labels: tuple[str, ...], penalty: float, options: HeadOptions, task: Task
) -> dict[str, HeldOut]:
    """Train without one class at a time and see how many of its pictures are answered "unknown".

    Args:
        data: features and truth of each share.
        labels: of the classes; the first ``MOST_HELD_OUT`` by even steps are held out.
        penalty: of the head.
        options: of its training.
        task: of the model; a multi-label one has nothing to measure.

    Returns:
        By label; empty with fewer than three classes, or without validation or test pictures.
    """
    if task == "multi-label" or len(labels) < 3 or not len(data["validation"]) or not len(data["test"]):
        return {}
    steps = np.linspace(0, len(labels) - 1, min(len(labels), MOST_HELD_OUT)).round()
    chosen = sorted({int(step) for step in steps})  # np.unique loads all of numpy.ma for it, 10 ms
    # One after the other where a single one keeps all processors busy, and takes memory worth speaking of.
    small = data["training"].features.nbytes <= SMALL
    with ThreadPoolExecutor(processors() if small else 1) as pool:
        found = pool.map(lambda held: _held_out(data, held, penalty, options), chosen)
        return {labels[held]: answer for held, answer in zip(chosen, found, strict=True)}


def _held_out(data: Mapping[Share, HeadData], held: int, penalty: float, options: HeadOptions) -> HeldOut:
    def without(rows: HeadData) -> HeadData:
        keep = ~rows.truth[:, held]
        return HeadData(rows.features[keep], np.delete(rows.truth[keep], held, axis=1))

    head = fit_one(without(data["training"]), "single-label", penalty, options)

    def top(rows: HeadData) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        best: np.ndarray[tuple[int], np.dtype[np.float32]] = head.scores(rows.features).max(axis=1)
        return best

    validation = without(data["validation"])
    limit = choose_rejection(head.scores(validation.features), validation.truth, HELD_OUT_RATE).unknown_below
    known = without(data["test"])
    known = HeadData(known.features[known.truth.any(axis=1)], known.truth[known.truth.any(axis=1)])
    unseen = np.concatenate([rows.features[rows.truth[:, held]] for rows in data.values()])
    strange = top(HeadData(unseen, np.zeros((len(unseen), 1), np.bool_)))
    return HeldOut(
        Accuracy(int((strange < limit).sum()), len(strange)), Accuracy(int((top(known) < limit).sum()), len(known))
    )
