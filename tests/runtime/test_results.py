from __future__ import annotations

import json
from dataclasses import replace

from runtime.answers import Classification, Prediction, Stages
from runtime.results import as_json, as_text

ANSWER = Classification(
    (Prediction(3, "向日葵", 0.87654321), Prediction(0, "two\nlines", 0.1234)), ("向日葵",), Stages(1.23456, 0.5, 20.0)
)
NOTHING = Classification((), ("a",), Stages(0, 0, 0))


def test_json_has_exactly_this_form() -> None:
    assert json.loads(as_json("花 a.jpg", ANSWER)) == {
        "source": "花 a.jpg",
        "predictions": [
            {"class_id": 3, "label": "向日葵", "score": 0.876543},
            {"class_id": 0, "label": "two\nlines", "score": 0.1234},
        ],
        "labels": ["向日葵"],
        "unknown": False,
        "milliseconds": {"decode": 1.235, "preprocess": 0.5, "invoke": 20.0, "postprocess": 0.0},
    }


def test_json_is_one_line_and_readable() -> None:
    text = as_json("two\nlines.jpg", ANSWER)
    assert "\n" not in text
    assert "向日葵" in text
    assert json.loads(as_json("\udcff.jpg", NOTHING))["source"] == "\udcff.jpg"


def test_text() -> None:
    assert as_text("a b.jpg", ANSWER) == "a b.jpg\n   87.7%  向日葵\n   12.3%  'two\\nlines'"


def test_text_keeps_to_its_lines() -> None:
    assert as_text("two\nlines \x1b[31m花.jpg", NOTHING).split("\n") == [
        "'two\\nlines \\x1b[31m花.jpg'",
        "          no class reaches the threshold",
    ]


def test_unknown_is_said_before_the_guesses() -> None:
    unsure = replace(ANSWER, labels=())
    assert json.loads(as_json("a.jpg", unsure))["unknown"] is True
    assert as_text("a.jpg", unsure).split("\n")[:3] == [
        "a.jpg",
        "          unknown: no score is high enough for an answer",
        "   87.7%  向日葵",
    ]


def test_no_label_is_said_before_the_guesses() -> None:
    lines = as_text("a.jpg", replace(ANSWER, labels=()), "multi-label").split("\n")
    assert lines[1:3] == ["          no label: no score reaches the least score of its label", "   87.7%  (向日葵)"]


def test_labels_that_do_not_hold_are_in_brackets() -> None:
    assert as_text("a.jpg", ANSWER, "multi-label").split("\n")[1:] == ["   87.7%  向日葵", "   12.3%  ('two\\nlines')"]
