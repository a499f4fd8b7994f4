"""A picture's answer, as text and as JSON; the JSON has the keys of ``runtime classify --json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from runtime.classifier import Prediction, Stages
from runtime.file_kind import shown
from toolkit.predict.predictor import Floats, Predictor


@dataclass(frozen=True)
class Answer:
    """What a picture shows.

    Attributes:
        source: path of the picture, as it was named or found.
        predictions: the best classes, best first.
        labels: those that hold: the best one, or none where its score is too low; with a multi-label model all
            whose scores reach their thresholds.
        milliseconds: what it cost.
    """

    source: str
    predictions: tuple[Prediction, ...]
    labels: tuple[str, ...]
    milliseconds: Stages

    @property
    def unknown(self) -> bool:
        """Whether the picture shows nothing that the model knows."""
        return not self.labels


def make_answer(source: str, scores: Floats, predictor: Predictor, top_k: int, milliseconds: Stages) -> Answer:
    """Rank scores, float32 (classes,); equal ones stay in the order of their class ids."""
    order = np.argsort(-scores, kind="stable")
    labels, least = predictor.labels, predictor.least_scores or (0.0,) * len(predictor.labels)
    candidates = order[:1] if predictor.task == "single-label" else order
    return Answer(
        source,
        tuple(Prediction(int(i), labels[i], float(scores[i])) for i in order[:top_k]),
        tuple(labels[i] for i in candidates if float(scores[i]) >= least[i]),
        milliseconds,
    )


def as_json(answer: Answer) -> str:
    """One line."""
    stages = answer.milliseconds
    content: dict[str, Any] = {
        "source": answer.source,
        "predictions": [
            {"class_id": p.class_id, "label": p.label, "score": round(p.score, 6)} for p in answer.predictions
        ],
        "labels": list(answer.labels),
        "unknown": answer.unknown,
        "milliseconds": {name: round(getattr(stages, name), 3) for name in ("decode", "preprocess", "invoke")},
    }
    return json.dumps(content, ensure_ascii=False)


def as_text(answer: Answer, predictor: Predictor) -> str:
    """The source, and under it a line for each prediction; multi-label ones that do not hold are in brackets."""
    lines = [shown(answer.source)]
    if answer.unknown:
        lines.append("          unknown: no score is high enough for an answer")
    for prediction in answer.predictions:
        label = shown(prediction.label)
        holds = predictor.task == "single-label" or prediction.label in answer.labels
        lines.append(f"{prediction.score:8.1%}  {label if holds else f'({label})'}")
    return "\n".join(lines)
