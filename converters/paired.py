"""Two models on the same pictures: what changed, and whether the difference may be chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A loss that chance alone gives more often than this is not taken for one.
SIGNIFICANT = 0.05
#: Points that chance excuses at most: with eight test pictures it may take four, and the file is broken as well.
MOST_EXCUSED = 25.0


@dataclass(frozen=True)
class Paired:
    """Answers of two models on the same pictures.

    Attributes:
        better: rows of the pictures that the second model has right and the first has wrong.
        worse: the other way round.
        other: rows that both have right or both have wrong, or whose truth is not known, with another answer.
    """

    better: tuple[int, ...]
    worse: tuple[int, ...]
    other: tuple[int, ...]

    @classmethod
    def of(cls, before: NDArray[np.bool_], after: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Paired:
        """Compare the answers of two models.

        Args:
            before: of the first, bool (pictures, classes), see ``converters.answers``.
            after: of the second, the same.
            truth: bool (pictures, classes); no rows where it is not known.
        """
        changed = (before != after).any(axis=1)
        if not len(truth):
            return cls((), (), _rows(changed))
        right_before, right_after = ((answered == truth).all(axis=1) for answered in (before, after))
        better, worse = right_after & ~right_before, right_before & ~right_after
        return cls(_rows(better), _rows(worse), _rows(changed & ~better & ~worse))

    @property
    def chance(self) -> float:
        """How often chance alone makes so many of the pictures that changed worse, or more: 0..1.

        The one-sided exact form of McNemar's test: as likely better as worse is what no loss at all would look like.
        Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947.
        """
        changed, worse = len(self.better) + len(self.worse), len(self.worse)
        return float(sum(comb(changed, k) for k in range(worse, changed + 1)) / 2**changed)

    @property
    def may_be_chance(self) -> bool:
        """Whether some pictures got worse, but so few that nothing is sure."""
        return bool(self.worse) and self.chance > SIGNIFICANT

    def excuses(self, drop: float) -> bool:
        """Whether chance excuses a loss of so many points: no more than ``MOST_EXCUSED``, but for a single picture."""
        return self.may_be_chance and (drop <= MOST_EXCUSED or len(self.worse) - len(self.better) <= 1)

    @classmethod
    def from_json(cls, content: Any) -> Paired:
        """What ``to_json`` gave.

        Raises:
            KeyError, TypeError: something else.
        """
        return cls(*(tuple(map(int, content[name])) for name in ("better", "worse", "other")))

    def to_json(self) -> dict[str, Any]:
        """For export.json: rows of the check pictures."""
        return {
            "better": list(self.better),
            "worse": list(self.worse),
            "other": list(self.other),
            "chance": round(self.chance, 6),
        }


def _rows(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(row) for row in np.flatnonzero(chosen))
