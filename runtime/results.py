"""Answers as text and as JSON, one object a line."""

from __future__ import annotations

import json

from runtime.classifier import Classification
from runtime.file_kind import shown


def as_json(source: str, answer: Classification) -> str:
    """One line: source, predictions and milliseconds of each stage."""
    stages = answer.milliseconds
    content = {
        "source": source,
        "predictions": [
            {"class_id": p.class_id, "label": p.label, "score": round(p.score, 6)} for p in answer.predictions
        ],
        "milliseconds": {
            "decode": round(stages.decode, 3),
            "preprocess": round(stages.preprocess, 3),
            "invoke": round(stages.invoke, 3),
        },
    }
    return json.dumps(content, ensure_ascii=False)


def as_text(source: str, answer: Classification) -> str:
    """The source, and under it one line for each prediction."""
    lines = [f"{p.score:8.1%}  {shown(p.label)}" for p in answer.predictions]
    return "\n".join([shown(source), *(lines or ["          no class reaches the threshold"])])
