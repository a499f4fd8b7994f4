"""Scores averaged over a camera's frames, and labels that do not flicker."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from runtime.answers import AnswerRules, Classification, rank_scores
from runtime.contract import ModelContract

# A label that holds goes on holding until its score is below this share of what made it hold, and until another's is
# above it by the same share. Our own choice: the smoothed scores of a scene between two classes move by less, and a
# clear change is answered after 0.81 of the time constant instead of 0.69.
_STAY = 0.8


class Smoother:
    """Exponential smoothing of the scores over time, with hysteresis for the labels that hold.

    Each frame's scores count ``1 - exp(-passed / seconds)``, where ``passed`` is the time since the frame before: after
    a sudden change the smoothed scores have gone 63 % of the way in so many seconds, whatever the frame rate, and after
    a long gap the old ones count nothing.

    Args:
        seconds: time constant, above 0.
        rules: which answers are wanted.
    """

    def __init__(self, seconds: float, rules: AnswerRules) -> None:
        self._seconds, self._rules = seconds, rules
        self._contract: ModelContract | None = None
        self._scores: NDArray[np.float32] = np.zeros(0, np.float32)
        self._least: NDArray[np.float32] = np.zeros(0, np.float32)
        self._allowed: NDArray[np.bool_] | None = None
        self._held: NDArray[np.bool_] = np.zeros(0, bool)
        self._moment = 0.0

    def smooth(
        self, contract: ModelContract, answer: Classification, scores: NDArray[np.float32], moment: float
    ) -> tuple[Classification, NDArray[np.float32]]:
        """The answer that this frame and those before it give together, and the scores behind it.

        Args:
            contract: of the model that looked; with another one than before smoothing begins anew.
            answer: for this frame alone.
            scores: of this frame, float32 (classes,), 0..1.
            moment: when the frame was taken, seconds on any clock that does not jump.
        """
        if contract is not self._contract:
            self._begin(contract, scores)
        else:
            share = 1 - math.exp(-max(0.0, moment - self._moment) / self._seconds)
            self._scores = self._scores + np.float32(share) * (scores - self._scores)
        self._moment = moment
        self._held = self._holding(contract)
        # Best first, and equal ones by their ids, as without smoothing.
        labels = tuple(contract.labels[i] for i in np.argsort(-self._scores, kind="stable") if self._held[i])
        predictions = rank_scores(self._scores, contract.labels, self._rules, labels, self._allowed)
        return replace(answer, predictions=predictions, labels=labels), self._scores

    def _begin(self, contract: ModelContract, scores: NDArray[np.float32]) -> None:
        rules = self._rules
        self._contract = contract
        self._scores = scores.copy()
        self._least = np.asarray(contract.least_scores, np.float32)
        self._allowed = rules.classes(contract.labels) if rules.allow or rules.deny else None
        self._held = np.zeros(len(scores), bool)

    def _holding(self, contract: ModelContract) -> NDArray[np.bool_]:
        scores = self._scores if self._allowed is None else np.where(self._allowed, self._scores, -1)
        stays = self._held & (scores >= self._least * _STAY)
        if contract.task == "multi-label":
            enough: NDArray[np.bool_] = scores >= self._least
            return (enough | stays) & (scores >= 0)
        holding = np.zeros(len(scores), bool)
        best = int(scores.argmax())
        if stays.any():
            held = int(stays.argmax())
            if scores[best] * _STAY <= scores[held]:
                best = held
        holding[best] = stays[best] or scores[best] >= self._least[best]
        return holding
