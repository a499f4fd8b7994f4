"""Answers for tests of actions, without a model."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from runtime.actions.action import Seen
from runtime.answers import AnswerRules, Classification, Stages, rank_scores
from runtime.sources.frame import Frame
from runtime.spec import Task

LABELS = ("cat", "dog", "向日葵")


def seen(
    *labels: str,
    scores: tuple[float, ...] | None = None,
    names: tuple[str, ...] = LABELS,
    changed: bool = True,
    picture: Any = None,
    source: str = "0",
    number: int = 0,
    task: Task = "single-label",
    time: float = 1_772_357_400.125,
) -> Seen:
    """A frame on which these labels hold; each of them has a score of 0.75 unless told otherwise."""
    given = scores or tuple(0.75 if name in labels else 0.125 for name in names)
    values = np.array(given, np.float32)
    if picture is None:
        picture = np.full((48, 64, 3), 99, np.uint8)
    predictions = rank_scores(values, names, AnswerRules())
    answer = Classification(predictions, labels, Stages(1.5, 0.25, 10.0, 0.125))
    return Seen(Frame(source, number, picture, time, 10.0 + number), answer, values, names, task, changed, 1.0)


def eventually(happened: Callable[[], object], seconds: float = 20) -> bool:
    """Whether it happens within so many seconds."""
    until = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


class Log(io.StringIO):
    """A log whose lines can be asked for; called with a line, it takes that."""

    def __call__(self, line: str) -> None:
        self.write(f"{line}\n")

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


class Terminal(Log):
    """A log that says it is a terminal."""

    def isatty(self) -> bool:
        return True
