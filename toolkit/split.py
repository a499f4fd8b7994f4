"""Which pictures train, which validate and which test."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.errors import UsageError
from toolkit.dataset import ImageRecord

Share = Literal["training", "validation", "test"]


@dataclass(frozen=True)
class SplitOptions:
    """Percentages of the pictures, 0 or more each, less than 100 together; the rest trains."""

    validation_percentage: float = 10.0
    testing_percentage: float = 10.0

    def __post_init__(self) -> None:
        for name in ("validation_percentage", "testing_percentage"):
            if not 0 <= getattr(self, name) < 100:
                raise UsageError(f"{name} must be 0 or more and less than 100; got {getattr(self, name):g}")
        if self.validation_percentage + self.testing_percentage >= 100:
            raise UsageError(
                f"validation ({self.validation_percentage:g} %) and test ({self.testing_percentage:g} %) leave "
                "nothing to train on; together they must be less than 100 %"
            )

    def shares(self) -> tuple[Share, ...]:
        """The shares that must not be empty."""
        shares: list[Share] = ["training"]
        if self.validation_percentage > 0:
            shares.append("validation")
        if self.testing_percentage > 0:
            shares.append("test")
        return tuple(shares)


def split_images(images: Sequence[ImageRecord], options: SplitOptions) -> dict[Share, list[int]]:
    """Assign each picture by the hash of its content.

    The share depends on the content alone: not on the name, the place of the folder or the other pictures, so
    adding pictures moves none from one share to another. Only a class that a share would lack gives it its
    picture next to the border.

    Args:
        images: of all classes; each class must have at least as many as there are shares.
        options: the percentages.

    Returns:
        Share -> positions in ``images``, ascending.
    """
    test_edge = options.testing_percentage / 100
    validation_edge = test_edge + options.validation_percentage / 100
    edges: dict[Share, float] = {"test": test_edge / 2, "validation": (test_edge + validation_edge) / 2}
    edges["training"] = 1.0
    share_of: list[Share] = []
    by_class: dict[int, list[int]] = defaultdict(list)
    for position, image in enumerate(images):
        place = _place(image)
        share_of.append("test" if place < test_edge else "validation" if place < validation_edge else "training")
        by_class[image.class_id].append(position)
    for positions in by_class.values():
        _fill_shares(positions, images, share_of, edges, options.shares())
    result: dict[Share, list[int]] = {"training": [], "validation": [], "test": []}
    for position, share in enumerate(share_of):
        result[share].append(position)
    return result


def _place(image: ImageRecord) -> float:
    """The content's hash as a number in [0, 1)."""
    return int(image.digest[:16], 16) / 2.0**64


def _fill_shares(
    positions: list[int],
    images: Sequence[ImageRecord],
    share_of: list[Share],
    edges: dict[Share, float],
    shares: tuple[Share, ...],
) -> None:
    """Give each empty share of one class the picture nearest to it, from a share that can spare one."""
    for share in shares:
        if any(share_of[p] == share for p in positions):
            continue
        sizes = Counter(share_of[p] for p in positions)
        spare = [p for p in positions if sizes[share_of[p]] > 1]
        if spare:
            nearest = min(spare, key=lambda p: (abs(_place(images[p]) - edges[share]), images[p].digest))
            share_of[nearest] = share
