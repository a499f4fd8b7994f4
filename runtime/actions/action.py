"""What an action is told, and what it must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.answers import Classification
from runtime.sources.frame import Frame
from runtime.spec import Task


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame with its answer.

    Attributes:
        frame: what was looked at.
        answer: what it shows; smoothed over frames where that was asked for.
        scores: float32 (classes,), 0..1, in the order of ``labels``; smoothed alike.
        labels: all labels of the model.
        task: of the model.
        changed: whether other labels hold than in the frame before; true for the first frame.
        age_ms: from the frame's arrival to its answer, milliseconds.
    """

    frame: Frame
    answer: Classification
    scores: NDArray[np.float32]
    labels: tuple[str, ...]
    task: Task
    changed: bool
    age_ms: float


class Action(Protocol):
    """Something that is done with answers. It never holds up the loop: what may take long runs on its own thread."""

    def handle(self, seen: Seen) -> None:
        """Act on one answer.

        Raises:
            EdgeExportError: it cannot go on at all, and neither should the command. (What may mend itself, a broker
                that is away say, is logged instead.)
        """

    def close(self) -> None:
        """Finish what was begun, within a second."""
