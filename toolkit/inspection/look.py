"""A folder of pictures to all that can be said of it before training: ``inspect_folder``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import ImageError
from runtime.spec import Task
from toolkit.inspection.files import Unused, list_files
from toolkit.inspection.findings import Finding, find_faults
from toolkit.inspection.pictures import Picture, read_pictures
from toolkit.progress import progress_bar
from toolkit.signatures import SignatureCache

# Of the JSON; to be raised when a key changes its meaning or goes.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ClassSummary:
    """What a class folder holds, or what pictures have a label.

    Attributes:
        label: name of the folder, or the label.
        files: number of files that are pictures by their names.
        pictures: number of those that can be decoded, copies included.
        sizes: (width, height) in pixels of the smallest, the median and the largest picture by area; None without
            pictures.
    """

    label: str
    files: int
    pictures: int
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None


@dataclass(frozen=True)
class Inspection:
    """What was seen.

    Attributes:
        root: the folder.
        classes: in natural order.
        total: the same over all classes.
        formats: Pillow's name of a format -> number of pictures, the most frequent first.
        findings: what may be wrong, what matters most first; empty when nothing is.
        task: what the folder was looked at for.
        unlabelled: number of pictures that ``labels.csv`` gives no label.
    """

    root: Path
    classes: tuple[ClassSummary, ...]
    total: ClassSummary
    formats: dict[str, int]
    findings: tuple[Finding, ...]
    task: Task = "single-label"
    unlabelled: int = 0

    def to_json(self) -> dict[str, Any]:
        """As a dictionary of JSON's types; paths are relative to the folder, sizes [width, height]."""
        return {
            "schema_version": SCHEMA_VERSION,
            "folder": str(self.root),
            "files": self.total.files,
            "pictures": self.total.pictures,
            "task": self.task,
            "without_label": self.unlabelled,
            "formats": self.formats,
            "classes": [_class_json(summary) for summary in self.classes],
            "findings": {
                finding.kind: {
                    "title": finding.title,
                    "meaning": finding.meaning,
                    "items": [
                        {"paths": [self.relative(path) for path in item.paths], "detail": item.detail}
                        for item in finding.items
                    ],
                }
                for finding in self.findings
            },
        }

    def relative(self, path: Path) -> str:
        """A path of the folder as ``class/file``."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def _class_json(summary: ClassSummary) -> dict[str, Any]:
    sizes = None if summary.sizes is None else dict(zip(("smallest", "median", "largest"), summary.sizes, strict=True))
    return {"label": summary.label, "files": summary.files, "pictures": summary.pictures, "sizes": sizes}


def inspect_folder(root: Path, cache_dir: Path, task: Task = "single-label") -> Inspection:
    """Look at a folder that has one folder of pictures for each class, or a ``labels.csv``. Nothing in it is changed.

    Each file is read and decoded once; what a picture looks like is kept in the cache by its content, so that the
    next look, and ``toolkit train``, need not decode it.

    Args:
        root: the folder.
        cache_dir: of the toolkit.
        task: what the folder is for; only ``multi-label`` reads ``labels.csv``, as training does.

    Raises:
        UsageError: no such folder, or it cannot be read.
        DataError: there are no class folders in it, its ``labels.csv`` cannot be used, or the cache cannot.
    """
    listing = list_files(root, task)
    pictures: list[Picture] = []
    unreadable: list[Unused] = []
    with SignatureCache(cache_dir) as signatures, progress_bar("Looking at pictures", len(listing.files)) as bar:
        for (path, _), result in zip(listing.files, read_pictures(listing.files, signatures), strict=True):
            bar.update()
            if isinstance(result, ImageError):
                unreadable.append(Unused(path, str(result)))
            else:
                pictures.append(result)
    files = Counter(label for _, labels in listing.files for label in labels)
    by_label: dict[str, list[Picture]] = {label: [] for label in listing.labels}
    for picture in pictures:
        for label in picture.labels:
            by_label[label].append(picture)
    return Inspection(
        root,
        tuple(_summary(label, files[label], found) for label, found in by_label.items()),
        _summary("all", len(listing.files), pictures),
        dict(Counter(picture.format for picture in pictures).most_common()),
        find_faults(listing, pictures, unreadable),
        task,
        sum(not picture.labels for picture in pictures),
    )


def _summary(label: str, files: int, pictures: list[Picture]) -> ClassSummary:
    sizes = sorted(((p.width, p.height) for p in pictures), key=lambda size: (size[0] * size[1], size))
    three = (sizes[0], sizes[len(sizes) // 2], sizes[-1]) if sizes else None
    return ClassSummary(label, files, len(pictures), three)
