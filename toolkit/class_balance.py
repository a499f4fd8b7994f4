"""What ``--class-weights`` did, in words: whether classes of different size were balanced, and how much each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.file_kind import shown
from toolkit.head import IMBALANCE, ClassWeights, Floats

# Classes named with their weights; of more the lightest and the heaviest are.
_NAMED = 12


@dataclass(frozen=True)
class ClassBalance:
    """How classes counted in a training.

    Attributes:
        labels: of the classes.
        counts: training pictures of each.
        choice: what was asked for.
        weights: how much a picture of each class counted; None where every picture counted the same.
    """

    labels: tuple[str, ...]
    counts: Sequence[int]
    choice: ClassWeights
    weights: Floats | None

    def __str__(self) -> str:
        largest, smallest = max(self.counts), min(self.counts)
        if self.weights is None:
            if largest < IMBALANCE * smallest:
                return f"every picture counts the same: no class has {IMBALANCE:g} times the pictures of another"
            return (
                f"classes are not balanced, every picture counts the same (--class-weights {self.choice}): "
                f"{self._label(self.counts.index(largest))} has {largest} training pictures, "
                f"{self._label(self.counts.index(smallest))} {smallest}"
            )
        order = sorted(range(len(self.labels)), key=lambda n: float(self.weights[n]) if self.weights is not None else 0)
        named = order if len(order) <= _NAMED else [order[0], order[-1]]
        each = ", ".join(f"{self._label(n)} {self.weights[n]:.2f}" for n in named)
        between = "" if named is order else ", the others between"
        return f"classes are balanced (--class-weights {self.choice}) by these weights of a picture: {each}{between}"

    @property
    def uneven(self) -> bool:
        """Whether there was anything to balance."""
        return self.weights is not None or max(self.counts) >= IMBALANCE * min(self.counts)

    def to_json(self) -> dict[str, float] | None:
        """For metrics files: label -> weight; None where every picture counted the same."""
        if self.weights is None:
            return None
        return {label: round(float(weight), 4) for label, weight in zip(self.labels, self.weights, strict=True)}

    def _label(self, number: int) -> str:
        return shown(self.labels[number])
