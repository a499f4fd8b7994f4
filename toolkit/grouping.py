"""Pictures that belong together and so stay in one share of the split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from toolkit.near_duplicates import near_duplicate_groups
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.signatures import Signature

# retrain.py's: what stands before it in a file's name says which pictures belong together.
_MARK = "_nohash_"


def groups_of(
    index: DatasetIndex, signatures: Mapping[str, Signature], known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The groups: near duplicates, and files of one class that share the name before ``_nohash_``.

    A group is named by the smallest of its members' keys, so that it depends on neither the order nor the place of
    the pictures.

    Args:
        index: of the data set.
        signatures: content digest -> looks, also of pictures of an earlier training; empty where nobody looked.
        known: content digest -> group, of an earlier training; such pictures stay together.

    Returns:
        Content digest -> group, of all these pictures; one that is not named is alone.
    """
    pairs = list(near_duplicate_groups(signatures).items()) if signatures else []
    pairs += [(image.digest, key) for image in index.images if (key := _name_key(image))]
    return join([*pairs, *(known or {}).items()])


def group_images(index: DatasetIndex, groups: Mapping[str, str]) -> DatasetIndex:
    """The index with ``group`` set, by ``groups_of``."""
    images = tuple(replace(image, group=groups.get(image.digest, image.digest)) for image in index.images)
    return replace(index, images=images)


def _name_key(image: ImageRecord) -> str | None:
    """Hex digest of class and name before ``_nohash_``; None for other names."""
    before, mark, _ = image.path.name.partition(_MARK)
    if not mark:
        return None
    return hashlib.sha256(f"{image.class_ids} {before}".encode("utf-8", "backslashreplace")).hexdigest()


def join(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Connected components: key -> the smallest key that it is connected with."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while (above := leader.setdefault(key, key)) != key:
            leader[key] = leader[above]
            key = leader[key]
        return key

    for one, other in pairs:
        first, second = sorted((find(one), find(other)))
        leader[second] = first
    return {key: find(key) for key in list(leader)}
