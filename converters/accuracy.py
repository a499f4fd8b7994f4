"""How often a model is right, and how sure that number is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# 97.5 % quantile of the normal distribution, for a two-sided 95 % interval.
_Z = 1.959963984540054


@dataclass(frozen=True)
class Accuracy:
    """Correct answers out of a number of images."""

    correct: int
    images: int

    @classmethod
    def of(cls, answered: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Accuracy:
        """Count the images whose answered labels are exactly the true ones.

        Args:
            answered: bool (images, classes), of ``converters.answers``.
            truth: bool (images, classes).
        """
        return cls(int((answered == truth).all(axis=1).sum()), len(truth))

    @property
    def value(self) -> float:
        """Share of correct answers, 0..1; not a number without images."""
        return self.correct / self.images if self.images else float("nan")

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share, 0..1."""
        return wilson_interval(self.value, self.images)

    def __str__(self) -> str:
        if not self.images:
            return "not measured (0 images)"
        low, high = self.interval()
        return f"{self.value:.1%} (N={self.images}, 95 % interval {low:.1%} to {high:.1%})"

    def to_json(self) -> dict[str, Any]:
        """For metrics files."""
        low, high = self.interval()
        value = self.value if self.images else None
        return {"accuracy": value, "correct": self.correct, "images": self.images, "interval_95": [low, high]}


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """95 % confidence interval of a share, 0..1, by Wilson's score method; all of it where nothing was counted.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    if not n:
        return (0.0, 1.0)
    middle = share + _Z**2 / (2 * n)
    half = _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    return (max(0.0, float((middle - half) / scale)), min(1.0, float((middle + half) / scale)))
