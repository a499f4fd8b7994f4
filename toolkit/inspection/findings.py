"""What may be wrong with a set of pictures, one function a fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.class_folders import BACKGROUND, LABEL_FILE
from toolkit.inspection.files import Listing, Unused
from toolkit.inspection.pictures import Picture
from toolkit.label_file import NOT_LISTED, NOT_THERE
from toolkit.near_duplicates import difference, near_duplicate_groups
from toolkit.signatures import BITS

#: Pictures whose shorter side has fewer pixels are very small: half of 128, the smallest input of the networks that
#: `toolkit train` starts from.
SMALL_SIDE = 64
#: Pictures whose longer side is more than so many times the shorter are of odd shape: panoramas end about 3.
ODD_RATIO = 4.0
#: Classes with fewer pictures are small; retrain.py warned below 20 as well.
FEW_PICTURES = 20
#: `toolkit train` refuses a class with fewer: one each for training, validation and test.
LEAST_PICTURES = 3
#: The largest class has at least so many times the smallest's pictures: `toolkit train` balances classes from here.
IMBALANCE = 2.0


@dataclass(frozen=True)
class Item:
    """One case of a fault.

    Attributes:
        paths: the files; none where a class as a whole is meant.
        detail: what is to be said of them, else "".
    """

    paths: tuple[Path, ...]
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """A fault and all its cases.

    Attributes:
        kind: a word for programs.
        title: for people, lower case, after a number of cases.
        meaning: what training does about it, and what to do.
        items: at least one.
        pictures: whether the files can be shown.
    """

    kind: str
    title: str
    meaning: str
    items: tuple[Item, ...]
    pictures: bool


# kind, title, meaning, whether its files can be shown; in the order of how much they matter.
_FAULTS: tuple[tuple[str, str, str, bool], ...] = (
    (
        "stops",
        "folder that training stops at",
        "training ends with an error, however good the rest is",
        False,
    ),
    ("unreadable", "unreadable", "training leaves them out: fetch them again or delete them", False),
    ("missing", f"named in {LABEL_FILE} and not there", "training leaves the lines out: correct the paths", False),
    (
        "unlisted",
        f"picture without a line in {LABEL_FILE}",
        "training does not look at them: add lines; one without a label says that it shows none of them",
        True,
    ),
    (
        "copies_across_classes",
        "same file in two classes",
        "one label must be wrong, so training leaves out all of its copies: delete the wrong ones; or "
        "train with --multi-label, and it has both",
        True,
    ),
    (
        "near_duplicates_across_classes",
        "near duplicates across classes",
        "one picture saved anew under two labels: one is likely wrong, and training learns both",
        True,
    ),
    ("class_sizes", "class with few pictures", "add pictures, or move the folder away", False),
    (
        "imbalance",
        "classes of very different size",
        "training lets every class count the same (--class-weights auto)",
        False,
    ),
    ("copies", "same file again", "training uses one of the copies", False),
    (
        "near_duplicates",
        "near duplicates in a class",
        "training keeps each group on one side of the split; more copies teach nothing new",
        True,
    ),
    (
        "blank",
        "blank, nearly one colour",
        f"nothing to learn from: delete them, or move them to a folder {BACKGROUND}",
        True,
    ),
    (
        "small",
        f"very small, a side under {SMALL_SIDE} pixels",
        "enlarged for training, with little to see: icons, thumbnails, placeholders of a web site",
        True,
    ),
    (
        "odd_shape",
        f"odd shape, more than {ODD_RATIO:g} times as long as wide",
        "squeezed or cropped to a square for training: cut out what matters",
        True,
    ),
    (
        "wrong_ending",
        "ending of another format than the content",
        "the toolkit reads them all the same, other programs may not: rename them",
        False,
    ),
    ("unusual", "unusual encoding", "training uses them as said with each", False),
    ("unused", "not used", "training does not look at them: move or rename what should count", False),
)


def find_faults(listing: Listing, pictures: Sequence[Picture], unreadable: Sequence[Unused]) -> tuple[Finding, ...]:
    """All that may be wrong, what matters most first.

    Args:
        listing: of the folder.
        pictures: those that can be decoded.
        unreadable: files that are pictures by their names and cannot be decoded.
    """
    cases: dict[str, list[Item]] = defaultdict(list)
    cases["unreadable"] = [Item((file.path,), file.reason) for file in unreadable]
    for file in listing.unused:
        kind = "stops" if file.stops else {NOT_THERE: "missing", NOT_LISTED: "unlisted"}.get(file.reason, "unused")
        cases[kind].append(Item((file.path,), "" if kind in ("missing", "unlisted") else file.reason))
    _find_copies(listing, pictures, cases)
    _find_near_duplicates(listing, pictures, cases)
    _find_class_sizes(listing, pictures, cases)
    for picture in pictures:
        _find_odd(picture, cases)
    return tuple(
        Finding(kind, title, meaning, tuple(cases[kind]), show) for kind, title, meaning, show in _FAULTS if cases[kind]
    )


def _find_copies(listing: Listing, pictures: Iterable[Picture], cases: dict[str, list[Item]]) -> None:
    by_content: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        by_content[picture.digest].append(picture)
    for copies in by_content.values():
        if len(copies) > 1:
            paths = tuple(picture.path for picture in copies)
            if len({picture.labels for picture in copies}) == 1:
                cases["copies"].append(Item(paths))
            elif listing.task == "single-label":
                cases["copies_across_classes"].append(Item(paths))
            elif listing.listed:  # in several folders it is how one says that a picture has several labels
                cases["copies"].append(Item(paths, "with other labels; it has all of them"))


def _find_near_duplicates(listing: Listing, pictures: Iterable[Picture], cases: dict[str, list[Item]]) -> None:
    first_of: dict[str, Picture] = {}
    for picture in pictures:
        first_of.setdefault(picture.digest, picture)
    groups: dict[str, list[Picture]] = defaultdict(list)
    roots = near_duplicate_groups({digest: picture.signature for digest, picture in first_of.items()})
    for digest, picture in first_of.items():
        groups[roots[digest]].append(picture)
    for group in groups.values():
        if len(group) > 1:
            # Of several labels one copy may have one more without being wrong.
            across = listing.task == "single-label" and len({picture.labels for picture in group}) > 1
            kind = "near_duplicates_across_classes" if across else "near_duplicates"
            cases[kind].append(Item(tuple(picture.path for picture in group), _how_near(group)))


def _how_near(group: list[Picture]) -> str:
    compared = [difference(group[0].signature, picture.signature) for picture in group[1:]]
    low, high = min(bits for bits, _ in compared), max(bits for bits, _ in compared)
    text = f"{low} of {BITS} bits differ" if low == high else f"{low} to {high} of {BITS} bits differ"
    return text + ", mirrored" * any(mirrored for _, mirrored in compared)


def _find_class_sizes(listing: Listing, pictures: Iterable[Picture], cases: dict[str, list[Item]]) -> None:
    counts = dict.fromkeys(listing.labels, 0)
    for picture in pictures:
        for label in picture.labels:
            counts[label] += 1
    if not listing.listed:
        counts.pop(BACKGROUND, None)
    for label, count in counts.items():
        if count < LEAST_PICTURES:
            cases["class_sizes"].append(Item((), f"{label!r} has {count}; training needs {LEAST_PICTURES} or more"))
        elif count < FEW_PICTURES:
            cases["class_sizes"].append(Item((), f"{label!r} has {count}; under {FEW_PICTURES} little is learned"))
    if len(counts) < 2:
        cases["class_sizes"].append(Item((), "only one class; a classifier needs two or more"))
    filled = {label: count for label, count in counts.items() if count}
    if filled and max(filled.values()) >= IMBALANCE * min(filled.values()):
        most, least = max(filled, key=filled.__getitem__), min(filled, key=filled.__getitem__)
        ratio = filled[most] / filled[least]
        text = f"{most!r} has {ratio:.1f} times as many pictures as {least!r} ({filled[most]} and {filled[least]})"
        cases["imbalance"].append(Item((), text))


def _find_odd(picture: Picture, cases: dict[str, list[Item]]) -> None:
    size = f"{picture.width} x {picture.height}"
    short, long = sorted((picture.width, picture.height))
    if picture.signature.blank:
        cases["blank"].append(Item((picture.path,), size))
    if short < SMALL_SIDE:
        cases["small"].append(Item((picture.path,), size))
    if long > ODD_RATIO * short:
        cases["odd_shape"].append(Item((picture.path,), size))
    if picture.wrong_ending:
        cases["wrong_ending"].append(Item((picture.path,), f"is {picture.format}"))
    if picture.unusual:
        cases["unusual"].append(Item((picture.path,), picture.unusual))
