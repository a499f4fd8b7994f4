"""When the answer is "unknown": the least top score that counts, chosen on pictures that training did not see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from converters.accuracy import Accuracy
from runtime.errors import UsageError
from toolkit.head import Bools, Floats

RejectChoice = Literal["auto", "off"]

#: Share of known pictures that may be rejected: with pictures of no class to learn from, and without.
AUTO_RATE, AUTO_RATE_ALONE = 0.05, 0.01
#: No limit is higher. Scores of an int8 model go in steps of 1/256 and end at 255/256 (LiteRT's quantization spec,
#: SOFTMAX): above that it would reject everything. What is left is a step and a half for its rounding.
HIGHEST_LIMIT = 0.99


@dataclass(frozen=True)
class Rejection:
    """A least score and what it does to the held-out pictures.

    Attributes:
        unknown_below: top scores below it are answered "unknown"; 0 answers always.
        known: known pictures that are rejected all the same.
        negatives: pictures of no class that are rejected.
        why: one sentence.
    """

    unknown_below: float
    known: Accuracy
    negatives: Accuracy
    why: str

    def __str__(self) -> str:
        if not self.unknown_below:
            return f"every picture gets an answer ({self.why})"
        text = (
            f'"unknown" below a score of {self.unknown_below:.1%}: rejects {self.known.correct} of '
            f"{self.known.images} known held-out pictures"
        )
        if self.negatives.images:
            text += f" and {self.negatives.correct} of {self.negatives.images} that belong to no class"
        return f"{text} ({self.why})"

    def to_json(self) -> dict[str, Any]:
        """For metrics files."""
        return {
            "unknown_below": self.unknown_below,
            "known_rejected": self.known.to_json(),
            "negatives_rejected": self.negatives.to_json(),
            "why": self.why,
        }


def parse_reject(text: str) -> RejectChoice | float:
    """``auto``, ``off``, or the share of known pictures that may be rejected, 0 to below 1 (``0.05`` or ``5%``).

    Raises:
        UsageError: anything else.
    """
    if text == "auto":
        return "auto"
    if text == "off":
        return "off"
    try:
        rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        rate = -1.0
    if not 0 < rate < 1:
        raise UsageError(f"--reject takes auto, off, or a share such as 0.05 or 5%, not {text!r}")
    return rate


def choose_rejection(scores: Floats, truth: Bools, choice: RejectChoice | float) -> Rejection:
    """Choose the least score of an answer.

    Args:
        scores: of pictures that were held out, float32 (pictures, classes).
        truth: bool (pictures, classes); a row without a class is a negative.
        choice: ``off``; a rate: so many known pictures may be rejected; ``auto``: with negatives, the score that tells
            them best from the known, within ``AUTO_RATE``; without, ``AUTO_RATE_ALONE`` of the known. Where the known
            are too few to tell a rate, there is a limit only if something else asks for one, the user or negatives:
            the lowest known score is the highest limit then.
    """
    top = scores.max(axis=1) if len(scores) else np.zeros(0, np.float32)
    known = truth.any(axis=1)
    inside, outside = np.sort(top[known]), top[~known]
    if choice == "off":
        return _rejection(0.0, inside, outside, "switched off")
    if not len(inside):
        return _rejection(0.0, inside, outside, "no pictures were held out")
    if choice != "auto":
        why = _at_most(choice)
        if len(inside) < _needed(choice):
            why = f"the lowest score of {_held(inside)}; {_needed(choice)} are needed for {why}"
        return _rejection(_at_rate(inside, choice), inside, outside, why)
    if len(outside):
        limit = _at_rate(inside, AUTO_RATE)
        tried = [0.0, *(float(s) for s in np.unique(top) if s < limit), limit]
        best = max(tried, key=lambda s: (outside < s).mean() - (inside < s).mean())
        if not best:
            return _rejection(best, inside, outside, "no limit tells pictures of no class from the known")
        why = "tells pictures of no class best from the known"
        if len(inside) < _needed(AUTO_RATE):
            why += f", and is no higher than the lowest score of {_held(inside)}: {_needed(AUTO_RATE)} are needed to "
            why += f"reject {AUTO_RATE:.0%} of them"
        return _rejection(best, inside, outside, why)
    why = _at_most(AUTO_RATE_ALONE)
    if len(inside) < _needed(AUTO_RATE_ALONE):
        why = (
            f"{_held(inside)} {'is' if len(inside) == 1 else 'are'} too few for {why}: {_needed(AUTO_RATE_ALONE)} are "
            f"needed; --reject {AUTO_RATE:.0%} or pictures of no class in _background_ set one all the same"
        )
        return _rejection(0.0, inside, outside, why)
    return _rejection(_at_rate(inside, AUTO_RATE_ALONE), inside, outside, why)


def _at_most(rate: float) -> str:
    return f"a limit that rejects at most {100 * rate:.4g}% of them"


def _held(inside: Floats) -> str:
    return "1 known held-out picture" if len(inside) == 1 else f"{len(inside)} known held-out pictures"


def _needed(rate: float) -> int:
    """Known held-out pictures of which one is at most this share."""
    return math.ceil(1 / rate - 1e-9)


def _at_rate(inside: Floats, rate: float) -> float:
    """The largest limit under which at most this share of the known, sorted, lies; ``HIGHEST_LIMIT`` at most."""
    return min(float(inside[min(int(rate * len(inside)), len(inside) - 1)]), HIGHEST_LIMIT)


def _rejection(limit: float, inside: Floats, outside: Floats, why: str) -> Rejection:
    # A device rounds: a hair below the score that is still an answer. 0 stays 0.
    limit = max(0.0, float(np.floor(limit * 1e4) / 1e4))
    return Rejection(
        limit,
        Accuracy(int((inside < limit).sum()), len(inside)),
        Accuracy(int((outside < limit).sum()), len(outside)),
        why,
    )
