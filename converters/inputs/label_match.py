"""Which class of a model a folder's name means."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LabelMatch:
    """Folders and classes brought together.

    Attributes:
        class_ids: folder -> class id, for the folders that match.
        loosely: folder -> label, for those of them whose name differs from the label in case or in how accents are
            encoded.
        unmatched: folders that match no label, or more than one.
    """

    class_ids: Mapping[str, int]
    loosely: Mapping[str, str]
    unmatched: tuple[str, ...]


def match_labels(folders: Sequence[str], labels: Sequence[str]) -> LabelMatch:
    """Match names verbatim, and what is left without regard to case and to the encoding of accents.

    Args:
        folders: names of class folders.
        labels: of the model, unique.
    """
    exact = {label: class_id for class_id, label in enumerate(labels)}
    loose: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        loose[_folded(label)].append(label)
    class_ids, loosely, unmatched = {}, {}, []
    for folder in folders:
        candidates = [folder] if folder in exact else loose[_folded(folder)]
        if len(candidates) != 1:
            unmatched.append(folder)
            continue
        class_ids[folder] = exact[candidates[0]]
        if candidates[0] != folder:
            loosely[folder] = candidates[0]
    return LabelMatch(class_ids, loosely, tuple(unmatched))


def _folded(name: str) -> str:
    # macOS writes file names decomposed (NFD), most else composed (NFC).
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
