"""A folder per class to a ``DatasetIndex``: every file is opened once, nothing is skipped in silence."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.errors import DataError, ImageError, UsageError
from runtime.images import IMAGE_SUFFIXES, find_files, natural_key, open_image, read_image_bytes
from toolkit.progress import progress_bar

#: Files that systems leave in folders; nobody misses them in a list of skipped files.
_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class ImageRecord:
    """A picture of the data set.

    Attributes:
        path: of the file.
        class_id: position of its label.
        digest: hex sha256 of the file's content.
    """

    path: Path
    class_id: int
    digest: str


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
    """

    root: Path
    labels: tuple[str, ...]
    images: tuple[ImageRecord, ...]
    skipped: tuple[SkippedFile, ...]

    def counts(self) -> list[int]:
        """Number of pictures of each class."""
        counter = Counter(image.class_id for image in self.images)
        return [counter[class_id] for class_id in range(len(self.labels))]

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
        lines = sorted(f"{self.labels[image.class_id]!r} {image.digest}" for image in self.images)
        return hashlib.sha256("\n".join([repr(self.labels), *lines]).encode()).hexdigest()


def index_folder(root: Path) -> DatasetIndex:
    """Read a folder that has one folder of pictures for each class.

    Each file is read once: its content is hashed and its header checked. Class folders are searched with all
    folders below them. Pictures whose content stands in two classes are left out, since one label must be wrong.

    Raises:
        UsageError: no such folder.
        DataError: no class folders, only one, or a class without a single picture.
    """
    labels, loose = _class_folders(root)
    skipped = [SkippedFile(path, "lies beside the class folders, not in one") for path in loose]
    files: list[tuple[Path, int]] = []
    for class_id, label in enumerate(labels):
        for path in _list_files(root / label):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                files.append((path, class_id))
            else:
                skipped.append(SkippedFile(path, f"not a picture by its name ({path.suffix or 'no ending'})"))
    if not files:
        raise DataError(f"{root} has class folders but no pictures in them")
    records: list[ImageRecord] = []
    workers = min(8, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(workers) as pool, progress_bar("Reading pictures", len(files)) as bar:
        for (path, class_id), digest in zip(files, pool.map(_check, (path for path, _ in files)), strict=True):
            bar.update()
            if isinstance(digest, ImageError):
                skipped.append(SkippedFile(path, str(digest).removeprefix(f"{path}: ")))
            else:
                records.append(ImageRecord(path, class_id, digest))
    records, doubles = _drop_duplicates(records, labels)
    return DatasetIndex(root, labels, tuple(records), tuple(skipped + doubles))


def check_counts(index: DatasetIndex, needed: int, why: str) -> None:
    """Make sure that every class has enough pictures.

    Args:
        index: the data set.
        needed: least number of pictures a class must have.
        why: what they are needed for, for the message.

    Raises:
        DataError: naming each class that has too few, how many it has and how many are needed.
    """
    short = [
        f"{label!r} has {count}" for label, count in zip(index.labels, index.counts(), strict=True) if count < needed
    ]
    if short:
        lost = f" ({len(index.skipped)} files were skipped)" if index.skipped else ""
        raise DataError(
            f"each class needs at least {needed} usable pictures ({why}): {', '.join(short)}{lost}; add pictures "
            "or move the folder away"
        )


def _class_folders(root: Path) -> tuple[tuple[str, ...], list[Path]]:
    """Labels in natural order, and files that lie beside them."""
    if not root.exists():
        raise UsageError(f"no such folder: {root}")
    if not root.is_dir():
        raise UsageError(f"{root} is a file; train on a folder that has one folder of pictures for each class")
    try:
        entries = sorted(root.iterdir(), key=lambda p: natural_key(p.name))
        folders = [p for p in entries if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"cannot read the folder {root}: {error.strerror}") from error
    loose = [p for p in entries if not p.is_dir() and not _is_system_file(p)]
    if not folders:
        pictures = sum(p.suffix.lower() in IMAGE_SUFFIXES for p in loose)
        raise DataError(
            f"{root} has {pictures} pictures but no class folders: put each class into a folder of its own, "
            f"for example {root / 'cat'} and {root / 'dog'}"
        )
    if len(folders) == 1:
        raise DataError(
            f"{root} has one class folder, {folders[0].name!r}; a classifier needs two or more (for a single thing, "
            "add a folder of pictures without it)"
        )
    return tuple(folder.name for folder in folders), loose


def _is_system_file(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES


def _list_files(folder: Path) -> list[Path]:
    try:
        return [path for path in find_files(folder) if not _is_system_file(path)]
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def _check(path: Path) -> str | ImageError:
    """Digest of a file whose header is a picture's, or what is wrong with it."""
    try:
        data = read_image_bytes(path)
        open_image(data, path)
    except ImageError as error:
        return error
    return hashlib.sha256(data).hexdigest()


def _drop_duplicates(
    records: list[ImageRecord], labels: tuple[str, ...]
) -> tuple[list[ImageRecord], list[SkippedFile]]:
    by_content: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in records:
        by_content[record.digest].append(record)
    kept, dropped = [], []
    for copies in by_content.values():
        classes = sorted({record.class_id for record in copies})
        if len(classes) > 1:
            names = " and ".join(repr(labels[c]) for c in classes)
            dropped += [SkippedFile(r.path, f"the same picture stands in {names}") for r in copies]
        else:
            kept.append(copies[0])
            dropped += [SkippedFile(r.path, f"a copy of {copies[0].path.name}") for r in copies[1:]]
    return kept, dropped
