"""A picture's answer: the runtime's, with the picture's name."""

from __future__ import annotations

from dataclasses import dataclass

from converters.inputs.predictor import Floats, Predictor
from runtime import results
from runtime.answers import AnswerRules, Classification, Stages, answered_labels, rank_scores


@dataclass(frozen=True)
class Answer(Classification):
    """What a picture shows; ``source`` is its path as it was named or found."""

    source: str


def make_answer(source: str, scores: Floats, predictor: Predictor, top_k: int, milliseconds: Stages) -> Answer:
    """Rank scores, float32 (classes,); equal ones stay in the order of their class ids."""
    labels = predictor.labels
    least = predictor.least_scores or (0.0,) * len(labels)
    holding = answered_labels(scores, labels, least, predictor.task)
    return Answer(rank_scores(scores, labels, AnswerRules(top_k), holding), holding, milliseconds, source)


def as_json(answer: Answer) -> str:
    """One line, as ``runtime classify --json`` writes it."""
    return results.as_json(answer.source, answer)


def as_text(answer: Answer, predictor: Predictor) -> str:
    """The source, and under it a line for each prediction, as ``runtime classify`` writes it."""
    return results.as_text(answer.source, answer, predictor.task)
