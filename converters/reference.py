"""What a file is compared with: the trained model's answers on the check pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from converters.answers import answers, unanswered
from converters.paired import Paired
from runtime.spec import Task


@dataclass(frozen=True)
class Reference:
    """The trained model's answers on the check pictures.

    Attributes:
        images: ``.npz`` file with the pictures.
        scores: of the trained model, float32 (count, classes).
        truth: which labels each picture has, bool (count, classes); no rows when they are not test pictures.
        task: of the model.
        least_scores: from which on each class counts as an answer, 0..1; see ``converters.answers``.
    """

    images: Path
    scores: NDArray[np.float32]
    truth: NDArray[np.bool_]
    task: Task = "single-label"
    least_scores: tuple[float, ...] = ()

    def answers(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The labels that scores of these pictures stand for, bool (count, classes)."""
        return answers(scores, self.task, self.least_scores)

    def unanswered(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The pictures that scores answer ``unknown``, bool (count,)."""
        return unanswered(scores, self.task, self.least_scores)

    @property
    def unknown(self) -> int:
        """Number of pictures that the trained model answers ``unknown``."""
        return int(self.unanswered(self.scores).sum())

    def accuracy_of(self, scores: NDArray[np.float32]) -> Accuracy:
        """Of a model's scores, float32 (count, classes), on these pictures."""
        return Accuracy.of(self.answers(scores[: len(self.truth)]), self.truth)

    @property
    def accuracy(self) -> Accuracy:
        """Of the trained model."""
        return self.accuracy_of(self.scores)

    def paired_with(self, scores: NDArray[np.float32]) -> Paired:
        """What scores of another model change, picture by picture."""
        return Paired.of(self.answers(self.scores), self.answers(scores), self.truth)
