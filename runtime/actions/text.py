"""Answers as text and as JSON on a stream."""

from __future__ import annotations

import time
from typing import TextIO

from runtime.actions.action import Seen
from runtime.answers import Classification
from runtime.file_kind import shown
from runtime.results import as_json, as_text


class PrintPictures:
    """Each picture with its answer, one under the other."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def handle(self, seen: Seen) -> None:
        """Print one answer."""
        _write(self._out, as_text(seen.frame.source, seen.answer, seen.task))

    def close(self) -> None:
        """Nothing is left to do."""


class PrintJson:
    """One JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def handle(self, seen: Seen) -> None:
        """Print one answer."""
        frame = seen.frame
        _write(self._out, as_json(frame.source, seen.answer, frame.number, frame.time))

    def close(self) -> None:
        """Nothing is left to do."""


class PrintChanges:
    """One line whenever other labels hold than before."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def handle(self, seen: Seen) -> None:
        """Print a line if the labels changed."""
        if seen.changed:
            moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seen.frame.time))
            _write(self._out, f"{moment}  {summary(seen.answer)}")

    def close(self) -> None:
        """Nothing is left to do."""


def _write(out: TextIO, text: str) -> None:
    """In one piece: a signal between ``print``'s text and its line break would leave half a line."""
    out.write(f"{text}\n")
    out.flush()


def summary(answer: Classification) -> str:
    """Labels that hold with their scores, or ``unknown`` with the best guess: ``daisy 98.3 %``."""
    scores = {prediction.label: prediction.score for prediction in answer.predictions}
    held = [f"{shown(label)} {scores[label]:.1%}" if label in scores else shown(label) for label in answer.labels]
    if held:
        return ", ".join(held)
    best = answer.predictions[:1]
    return "unknown" + "".join(f" ({shown(guess.label)} {guess.score:.1%})" for guess in best)
