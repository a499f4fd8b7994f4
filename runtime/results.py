"""Answers as text and as JSON, one object a line."""

from __future__ import annotations

import json

from runtime.classifier import Classification
from runtime.file_kind import shown
from runtime.spec import Task

# Before the guesses, where none of them is an answer.
_NOTHING: dict[Task, str] = {
    "single-label": "unknown: no score is high enough for an answer",
    "multi-label": "no label: no score reaches the least score of its label",
}


def as_json(source: str, answer: Classification) -> str:
    """One line: source, predictions, the labels that hold, and milliseconds of each stage."""
    stages = answer.milliseconds
    content = {
        "source": source,
        "predictions": [
            {"class_id": p.class_id, "label": p.label, "score": round(p.score, 6)} for p in answer.predictions
        ],
        "labels": list(answer.labels),
        "unknown": answer.unknown,
        "milliseconds": {
            "decode": round(stages.decode, 3),
            "preprocess": round(stages.preprocess, 3),
            "invoke": round(stages.invoke, 3),
        },
    }
    return json.dumps(content, ensure_ascii=False)


def as_text(source: str, answer: Classification, task: Task = "single-label") -> str:
    """The source, and under it one line for each prediction.

    Args:
        source: what was classified.
        answer: of the classifier.
        task: of the model; with ``multi-label`` the labels that do not hold are in brackets.
    """
    lines = []
    for prediction in answer.predictions:
        label = shown(prediction.label)
        holds = task == "single-label" or prediction.label in answer.labels
        lines.append(f"{prediction.score:8.1%}  {label if holds else f'({label})'}")
    if not lines:
        lines = ["          no class reaches the threshold"]
    if answer.unknown:
        lines.insert(0, f"          {_NOTHING[task]}")
    return "\n".join([shown(source), *lines])
