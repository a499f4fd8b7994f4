"""Answers as text and as JSON, one object a line."""

from __future__ import annotations

import json
import time
from typing import Any

from runtime.answers import Classification
from runtime.file_kind import shown
from runtime.spec import Task

# Before the guesses, where none of them is an answer.
_NOTHING: dict[Task, str] = {
    "single-label": "unknown: no score is high enough for an answer",
    "multi-label": "no label: no score reaches the least score of its label",
}


def as_json(source: str, answer: Classification, number: int | None = None, moment: float | None = None) -> str:
    """One line: source, predictions, the labels that hold, and milliseconds of each stage.

    Args:
        source: what was classified.
        answer: of the classifier.
        number: of the frame in its source; None leaves it out.
        moment: when the picture was taken, seconds since 1970; None leaves it out.
    """
    stages = answer.milliseconds
    content: dict[str, Any] = {} if moment is None else {"time": utc_time(moment)}
    content["source"] = source
    if number is not None:
        content["frame"] = number
    content |= {
        "predictions": [
            {"class_id": p.class_id, "label": p.label, "score": round(p.score, 6)} for p in answer.predictions
        ],
        "labels": list(answer.labels),
        "unknown": answer.unknown,
        "milliseconds": {name: round(value, 3) for name, value in stages._asdict().items()},
    }
    return json.dumps(content, ensure_ascii=False)


def utc_time(moment: float) -> str:
    """Seconds since 1970 as ISO 8601, to the millisecond: ``2026-03-01T09:30:00.125Z``."""
    whole, milliseconds = divmod(round(moment * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03}Z"


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
