"""A folder per class to a ``DatasetIndex``: every file is opened once, nothing is skipped in silence."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.errors import DataError, ImageError, UsageError
from runtime.file_kind import shown
from runtime.files import SYSTEM_FILES
from runtime.images import IMAGE_SUFFIXES, find_files, natural_key, open_image, read_image_bytes
from toolkit.progress import progress_bar

# A camera card keeps no case.
_SYSTEM_FILES = frozenset(name.lower() for name in SYSTEM_FILES)


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
        DataError: no class folders, only one, or not a single picture in them.
    """
    labels, skipped = class_folders(root)
    files: list[tuple[Path, int]] = []
    for class_id, label in enumerate(labels):
        for path in _list_files(root / label):
            if path.is_dir():
                skipped.append(SkippedFile(path, "a link to a folder; not followed"))
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                files.append((path, class_id))
            else:
                skipped.append(SkippedFile(path, f"not a picture by its name ({shown(path.suffix) or 'no ending'})"))
    if not files:
        raise DataError(f"{shown(root)} has class folders but no pictures in them")
    records: list[ImageRecord] = []
    with progress_bar("Reading pictures", len(files)) as bar:
        for (path, class_id), digest in zip(files, _check_all([path for path, _ in files]), strict=True):
            bar.update()
            if isinstance(digest, ImageError):
                skipped.append(SkippedFile(path, str(digest).removeprefix(f"{shown(path)}: ")))
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


def class_folders(root: Path) -> tuple[tuple[str, ...], list[SkippedFile]]:
    """Labels in natural order, and what lies beside them; no picture is opened.

    Raises:
        UsageError: no such folder.
        DataError: no class folders, or only one.
    """
    try:
        if not root.exists():
            raise UsageError(f"no such folder: {shown(root)}")
        if not root.is_dir():
            raise UsageError(
                f"{shown(root)} is a file; train on a folder that has one folder of pictures for each class"
            )
        # The name itself decides between names that are equal in natural order (a1, a01, A1).
        entries = sorted(root.iterdir(), key=lambda p: (natural_key(p.name), p.name))
        folders = [p for p in entries if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"cannot read the folder {shown(root)}: {error.strerror}") from error
    loose = [p for p in entries if not p.is_dir() and not _is_system_file(p)]
    skipped = [SkippedFile(path, "lies beside the class folders, not in one") for path in loose]
    skipped += [SkippedFile(p, "a link to a folder above it; not followed") for p in folders if _leads_above(p)]
    folders = [p for p in folders if not _leads_above(p)]
    if not folders:
        pictures = sum(p.suffix.lower() in IMAGE_SUFFIXES for p in loose)
        raise DataError(
            f"{shown(root)} has {pictures} pictures but no class folders: put each class into a folder of its own, "
            f"for example {shown(root / 'cat')} and {shown(root / 'dog')}"
        )
    if len(folders) == 1:
        raise DataError(
            f"{shown(root)} has one class folder, {folders[0].name!r}; a classifier needs two or more (for a single "
            "thing, add a folder of pictures without it)"
        )
    for folder in folders:
        _require_text(folder)
    return tuple(folder.name for folder in folders), skipped


def _leads_above(folder: Path) -> bool:
    """Whether a class folder is a link to a folder that holds it."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _require_text(folder: Path) -> None:
    """A label is written into files; bytes that are no text in any language cannot be."""
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the name of the class folder {shown(folder)} is not UTF-8; rename the folder") from error


def _is_system_file(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES


def _list_files(folder: Path) -> list[Path]:
    try:
        return [path for path in find_files(folder) if not _is_system_file(path)]
    except OSError as error:
        where = error.filename or folder
        raise DataError(f"cannot read the folder {shown(where)}: {error.strerror}") from error


def _check_all(paths: list[Path]) -> Iterator[str | ImageError]:
    """``_check`` for each path, in order, by several threads."""
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        futures = [pool.submit(_check, path) for path in paths]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C need not wait for the rest


def _check(path: Path) -> str | ImageError:
    """Digest of a file whose header is a picture's, or what is wrong with it."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its other end
            return ImageError(f"{shown(path)}: not a regular file")
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
            dropped += [SkippedFile(r.path, f"a copy of {shown(copies[0].path.name)}") for r in copies[1:]]
    return kept, dropped
