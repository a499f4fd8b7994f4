"""Answers as text and as JSON on a stream."""

from __future__ import annotations

import shutil
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
        print(as_text(seen.frame.source, seen.answer, seen.task), file=self._out, flush=True)

    def close(self) -> None:
        """Nothing is left to do."""


class PrintJson:
    """One JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def handle(self, seen: Seen) -> None:
        """Print one answer."""
        frame = seen.frame
        print(as_json(frame.source, seen.answer, frame.number, frame.time), file=self._out, flush=True)

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
            print(f"{moment}  {summary(seen.answer)}", file=self._out, flush=True)

    def close(self) -> None:
        """Nothing is left to do."""


class LiveLine:
    """One line on a terminal that is written over and over; what changed stays above it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown_at = 0.0
        self._rate = 0.0
        self._before: float | None = None

    def handle(self, seen: Seen) -> None:
        """Write the line anew, ten times a second at most."""
        now = time.monotonic()
        if self._before is not None and now > self._before:
            rate = 1 / (now - self._before)
            self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate
        self._before = now
        if not seen.changed and now - self._shown_at < 0.1:
            return
        self._shown_at = now
        stages = seen.answer.milliseconds
        text = f"{summary(seen.answer)}   {self._rate:.1f} fps, {stages.invoke:.1f} ms"
        width = shutil.get_terminal_size().columns - 1
        self._out.write("\r\x1b[2K" + text[:width])
        self._out.flush()

    def close(self) -> None:
        """Leave the last line as it is."""
        if self._before is not None:
            self._out.write("\n")
            self._out.flush()


def summary(answer: Classification) -> str:
    """Labels that hold with their scores, or ``unknown`` with the best guess: ``daisy 98.3 %``."""
    scores = {prediction.label: prediction.score for prediction in answer.predictions}
    held = [f"{shown(label)} {scores[label]:.1%}" if label in scores else shown(label) for label in answer.labels]
    if held:
        return ", ".join(held)
    best = answer.predictions[:1]
    return "unknown" + "".join(f" ({shown(guess.label)} {guess.score:.1%})" for guess in best)
