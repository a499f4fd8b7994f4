"""A choice of pictures that has as many of each class as there are."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from toolkit.records import ImageRecord


def even_choice(images: Sequence[ImageRecord], positions: Iterable[int], count: int, seed: int) -> list[int]:
    """Take a picture of each class in turn, in an order that the seed and the contents decide.

    Args:
        images: of the data set.
        positions: in ``images``: what may be chosen.
        count: pictures wanted.
        seed: of the order.

    Returns:
        Positions, ``count`` of them or all that may be chosen; a picture of several classes counts for its first,
        those of no class come as one more class.
    """
    by_class: dict[int, list[int]] = defaultdict(list)

    def order(position: int) -> str:
        return hashlib.sha256(f"{seed} {images[position].digest}".encode()).hexdigest()

    for position in sorted(positions, key=order):
        by_class[images[position].class_id].append(position)
    chosen: list[int] = []
    for rank in range(max(map(len, by_class.values()), default=0)):
        if len(chosen) >= count:
            break
        chosen += [places[rank] for _, places in sorted(by_class.items()) if rank < len(places)]
    return chosen[:count]
