"""What a file loses against the trained model, and whether that is more than may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.accuracy import wilson_interval
from converters.comparison import Comparison
from converters.paired import Paired

#: Share of answers that a sound file has in common with the trained model; with fewer a better one is looked for.
USUAL_AGREEMENT = 0.9
#: With less than this share most answers are other ones: it is another model, however often it happens to be right.
COLLAPSED = 0.5
# A drop is a difference of shares: 2.0 may come as a hair more.
_HAIR = 1e-9


def least_agreement(limit: float) -> float:
    """Share of answers that must be the same: who allows a loss of so many points allows as many other answers."""
    return min(USUAL_AGREEMENT, 1 - limit / 100)


@dataclass(frozen=True)
class Loss:
    """What a file loses against the trained model on the check pictures.

    Attributes:
        drop: points of accuracy (per cent); None where the truth is not known.
        may_be_chance: whether the pictures that got worse are so few that the drop may be; see ``converters.paired``.
        agreement: share of answered labels that are the trained model's too, 0..1.
        pictures: that were looked at.
    """

    drop: float | None
    may_be_chance: bool = False
    agreement: float = 1.0
    pictures: int = 0

    @classmethod
    def of(cls, compared: Comparison) -> Loss:
        """Of scores that were compared."""
        drop, paired = compared.accuracy_drop, compared.paired
        return cls(drop, _excused(paired, drop), compared.label_agreement, len(compared.scores))

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Loss:
        """Of what ``Comparison.to_json`` gave.

        Raises:
            KeyError, TypeError, ValueError: something else.
        """
        drop = entry["accuracy_drop"]
        drop = None if drop is None else float(drop)
        chance = _excused(Paired.from_json(entry["changed"]), drop)
        return cls(drop, chance, float(entry["label_agreement"]), int(entry["pictures"]))

    def is_within(self, limit: float) -> bool:
        """Whether nothing more is lost than so many points, and the answers are the trained model's, chance aside."""
        return self.drop_is_within(limit) and self.agreement >= least_agreement(limit) - _HAIR

    def is_excused(self, limit: float) -> bool:
        """Whether chance may be behind all that is not within the limit."""
        highest = wilson_interval(self.agreement, self.pictures)[1]
        return (self.drop_is_within(limit) or self.may_be_chance) and highest >= least_agreement(limit) - _HAIR

    def has_collapsed(self, limit: float) -> bool:
        """Whether most answers are other ones, beyond what chance makes of so few pictures."""
        highest = wilson_interval(self.agreement, self.pictures)[1]
        return highest < min(COLLAPSED, 1 - limit / 100) - _HAIR

    def is_accepted(self, limit: float) -> bool:
        """Whether the file may be handed over, with a word where it is not within the limit."""
        return (self.drop_is_within(limit) or self.may_be_chance) and not self.has_collapsed(limit)

    def beyond(self, limit: float) -> float:
        """Points by which it misses what is asked; 0 or less where it is within."""
        missing = 100 * (least_agreement(limit) - self.agreement)
        return missing if self.drop is None else max(missing, self.drop - limit)

    def drop_is_within(self, limit: float) -> bool:
        """Whether no more accuracy is lost than so many points, as far as that can be measured."""
        return self.drop is None or self.drop <= limit + _HAIR

    def __str__(self) -> str:
        parts = []
        if self.drop is not None:
            verb = "loses" if self.drop >= 0 else "gains"
            parts.append(f"{verb} {abs(self.drop):.1f} points" + ", which may be chance" * self.may_be_chance)
        if self.drop is None or self.agreement < USUAL_AGREEMENT:
            parts.append(f"has {self.agreement:.1%} of the trained model's answers")
        return " and ".join(parts)


def _excused(paired: Paired, drop: float | None) -> bool:
    return drop is not None and drop > 0 and paired.excuses(drop)
