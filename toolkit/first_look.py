"""What `toolkit train` says of the pictures by itself; `toolkit inspect` says more, and shows them."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.file_kind import shown
from toolkit.head import IMBALANCE
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.signatures import Signature

# Names in one line.
_NAMED = 3


def first_look(index: DatasetIndex, signatures: Mapping[str, Signature]) -> list[str]:
    """One line for each thing worth knowing; none where all is well.

    Args:
        index: with its groups.
        signatures: content digest -> looks.
    """
    lines = []
    groups: dict[str, list[ImageRecord]] = {}
    for image in index.images:
        groups.setdefault(image.group, []).append(image)
    alike = [images for images in groups.values() if len(images) > 1]
    if alike:
        count = sum(map(len, alike))
        where = "1 group" if len(alike) == 1 else f"{len(alike)} groups"
        lines.append(f"{count} pictures in {where} look alike or belong together; a group stays in one share")
    across = [images for images in alike if len({image.class_ids for image in images}) > 1]
    if across and index.task == "single-label":
        pairs = [f"{shown(images[0].path)} and {shown(images[1].path)}" for images in across]
        lines.append(f"warning: pictures that look alike stand in different classes: {_some(pairs)}")
    blank = [shown(i.path) for i in index.images if i.digest in signatures and signatures[i.digest].blank]
    if blank:
        lines.append(f"warning: of nearly one colour: {_some(blank)}")
    counts = index.counts()
    if min(counts) and max(counts) >= IMBALANCE * min(counts):
        most, least = counts.index(max(counts)), counts.index(min(counts))
        lines.append(
            f"classes of different size: {shown(index.labels[most])} has {max(counts)} pictures, "
            f"{shown(index.labels[least])} {min(counts)}"
        )
    return [*lines, *(["toolkit inspect shows them"] if across or blank else [])]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
