"""Which pictures train, which validate and which test."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runtime.errors import UsageError
from toolkit.records import ImageRecord

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


def split_images(
    images: Sequence[ImageRecord], options: SplitOptions, fixed: Mapping[str, Share] | None = None
) -> dict[Share, list[int]]:
    """Assign each group of pictures by its hash.

    The share depends on the content of the group alone: not on the name, the place of the folder or the other
    pictures, so adding pictures moves none from one share to another. Two things do: a class that a share would lack
    gives it its group next to the border, and takes it back when another falls there by itself; and a group that gets
    a member with a smaller digest has another hash. With 10 % each for validation and test, 2 x 0.9^n - 0.8^n of the
    classes of n groups lack one: 23 % of those with 20, 1 % with 50, 0.005 % with 100.

    Args:
        images: of all classes; each class should have at least as many groups as there are shares.
        options: the percentages.
        fixed: groups whose share was decided by an earlier training. They leave it only where a class has nothing
            else for a share.

    Returns:
        Share -> positions in ``images``, ascending.
    """
    test_edge = options.testing_percentage / 100
    validation_edge = test_edge + options.validation_percentage / 100
    edges: dict[Share, float] = {"test": test_edge / 2, "validation": (test_edge + validation_edge) / 2}
    edges["training"] = 1.0
    fixed = fixed or {}
    share_of: dict[str, Share] = {}
    classes_of: dict[str, set[int]] = defaultdict(set)
    for image in images:
        place = _place(image.group)
        by_hash: Share = "test" if place < test_edge else "validation" if place < validation_edge else "training"
        share_of[image.group] = fixed.get(image.group, by_hash)
        classes_of[image.group].update(image.class_ids)
    _fill_shares(classes_of, share_of, edges, options.shares(), fixed)
    result: dict[Share, list[int]] = {"training": [], "validation": [], "test": []}
    for position, image in enumerate(images):
        result[share_of[image.group]].append(position)
    return result


def _place(group: str) -> float:
    """The group's hash as a number in [0, 1)."""
    return int(group[:16], 16) / 2.0**64


def _fill_shares(
    classes_of: dict[str, set[int]],
    share_of: dict[str, Share],
    edges: dict[Share, float],
    shares: tuple[Share, ...],
    fixed: Mapping[str, Share],
) -> None:
    """Give each share that lacks a class the group nearest to it, from a share that can spare one."""
    groups_of: dict[int, list[str]] = defaultdict(list)
    for group, class_ids in classes_of.items():
        for class_id in class_ids:
            groups_of[class_id].append(group)
    sizes = Counter((class_id, share_of[group]) for group, ids in classes_of.items() for class_id in ids)
    # The rarest first: groups with several labels are few, and the others can do without them.
    for class_id, groups in sorted(groups_of.items(), key=lambda item: (len(item[1]), item[0])):
        for share in shares:
            if sizes[class_id, share]:
                continue
            spare = [g for g in groups if all(sizes[other, share_of[g]] > 1 for other in classes_of[g])]
            if spare:
                nearest = min(spare, key=lambda g: (g in fixed, abs(_place(g) - edges[share]), g))
                for other in classes_of[nearest]:
                    sizes[other, share_of[nearest]] -= 1
                    sizes[other, share] += 1
                share_of[nearest] = share
