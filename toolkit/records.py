"""What the toolkit knows of a data set's pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task


@dataclass(frozen=True)
class ImageRecord:
    """A picture of the data set.

    Attributes:
        path: of the file.
        class_ids: positions of its labels, ascending: one with a single-label task, any number with a
            multi-label one, none for a picture that belongs to no class.
        digest: hex sha256 of the file's content.
        group: hex; pictures of one group stay in one share. Empty takes the digest: alone in its group.
    """

    path: Path
    class_ids: tuple[int, ...]
    digest: str
    group: str = field(default="")

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.digest)

    @property
    def class_id(self) -> int:
        """The first label's position; -1 without one."""
        return self.class_ids[0] if self.class_ids else -1


@dataclass(frozen=True)
class SkippedFile:
    """A file that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class DatasetIndex:
    """What a folder holds.

    Attributes:
        root: the folder.
        labels: verbatim names of the class folders, in natural order.
        images: readable pictures, no content twice, in the order of their paths.
        skipped: all other files.
        task: ``single-label`` or ``multi-label``.
    """

    root: Path
    labels: tuple[str, ...]
    images: tuple[ImageRecord, ...]
    skipped: tuple[SkippedFile, ...]
    task: Task = "single-label"

    def counts(self) -> list[int]:
        """Number of pictures of each class."""
        return [int(n) for n in targets_of(self.images, len(self.labels)).sum(axis=0)]

    @property
    def negatives(self) -> int:
        """Number of pictures that belong to no class."""
        return sum(not image.class_ids for image in self.images)

    def summary(self) -> str:
        """The counts in one line, for people."""
        pictures = counted(len(self.images) - self.negatives, "picture", "pictures")
        background = f" and {self.negatives} of no class" if self.negatives else ""
        classes = counted(len(self.labels), "class", "classes")
        return f"{pictures} in {classes}{background}, {counted(len(self.skipped), 'file', 'files')} skipped"

    def without(self, failures: dict[str, str]) -> DatasetIndex:
        """The index less the pictures that turned out unreadable when they were decoded.

        Args:
            failures: digest -> reason.
        """
        bad = tuple(SkippedFile(i.path, failures[i.digest]) for i in self.images if i.digest in failures)
        good = tuple(image for image in self.images if image.digest not in failures)
        return replace(self, images=good, skipped=self.skipped + bad)

    def digest(self) -> str:
        """Hex sha256 over labels and contents; independent of where the folder lies."""
        lines = sorted(f"{[self.labels[i] for i in image.class_ids]!r} {image.digest}" for image in self.images)
        return hashlib.sha256("\n".join([self.task, repr(self.labels), *lines]).encode()).hexdigest()


def counted(number: int, one: str, several: str) -> str:
    """A number and what it counts."""
    return f"{number} {one if number == 1 else several}"


def targets_of(images: Sequence[ImageRecord], classes: int) -> NDArray[np.bool_]:
    """Which labels each picture has, bool (images, classes)."""
    targets = np.zeros((len(images), classes), np.bool_)
    for row, image in enumerate(images):
        targets[row, list(image.class_ids)] = True
    return targets
