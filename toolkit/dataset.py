"""A folder per class to a ``DatasetIndex``: every file is opened once, nothing is skipped in silence."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import DataError, ImageError
from runtime.file_kind import shown
from runtime.images import open_image, read_image_bytes
from runtime.spec import Task
from toolkit.class_folders import BACKGROUND, LABEL_FILE, class_folders, list_pictures
from toolkit.label_file import read_label_file
from toolkit.progress import progress_bar
from toolkit.records import DatasetIndex, ImageRecord, SkippedFile, counted

if TYPE_CHECKING:
    from PIL.Image import Image


# Files that a thread reads before it looks at them, and bytes of them that end the group before.
_GROUP, _GROUP_BYTES = 16, 8 << 20
# Of a picture in several class folders.
_BOTH_LABELS = "; --multi-label gives it all these labels"

#: Is shown each picture, opened but not decoded, with its digest and path; raises ImageError to have it skipped.
Look = Callable[[str, "Image", Path], object]
#: Is told the digests of some pictures before ``Look`` is shown them: what is looked up can be looked up together.
Expect = Callable[[Sequence[str]], object]


def index_folder(
    root: Path,
    task: Task = "single-label",
    look: Look | None = None,
    least: int = 2,
    expect: Expect = lambda _digests: None,
) -> DatasetIndex:
    """Read a folder that has one folder of pictures for each class.

    Each file is read once: its content is hashed and its header checked. Class folders are searched with all
    folders below them. A folder ``_background_`` holds pictures of no class.

    With ``single-label``, pictures whose content stands in two classes are left out, since one label must be
    wrong. With ``multi-label`` such a picture has both labels; and a file ``labels.csv`` in the folder, where
    there is one, says the labels instead of the folders.

    Args:
        root: the folder.
        task: of the model.
        look: called by several threads.
        least: class folders it must have, 1 or 2.
        expect: called by several threads, before ``look``.

    Raises:
        UsageError: no such folder.
        DataError: no class folders, too few, not a single picture in them, or a ``labels.csv`` that cannot be used.
    """
    labels, files, skipped = _listing(root, task, least)
    if not any(class_ids for _, class_ids in files):
        where = LABEL_FILE if _has_label_file(root, task) else "class folders"
        raise DataError(f"{shown(root)} has {where} but no pictures in them")
    records: list[ImageRecord] = []
    with progress_bar("Reading pictures", len(files)) as bar:
        checked = _check_all([path for path, _ in files], look, expect)
        for (path, class_ids), digest in zip(files, checked, strict=True):
            bar.update()
            if isinstance(digest, ImageError):
                skipped.append(SkippedFile(path, str(digest).removeprefix(f"{shown(path)}: ")))
            else:
                records.append(ImageRecord(path, class_ids, digest))
    merge = _merge_labels if task == "multi-label" else _drop_duplicates
    records, doubles = merge(records, labels)
    return DatasetIndex(root, labels, tuple(records), tuple(skipped + doubles), task)


def _has_label_file(root: Path, task: Task) -> bool:
    return task == "multi-label" and (root / LABEL_FILE).is_file()


def _listing(
    root: Path, task: Task, least: int
) -> tuple[tuple[str, ...], list[tuple[Path, tuple[int, ...]]], list[SkippedFile]]:
    """Labels, the pictures by name with the positions of their labels, and what is skipped."""
    if _has_label_file(root, task):
        return read_label_file(root, least)
    labels, skipped = class_folders(root, least)
    files: list[tuple[Path, tuple[int, ...]]] = []
    folders: list[tuple[str, tuple[int, ...]]] = [(label, (class_id,)) for class_id, label in enumerate(labels)]
    if (root / BACKGROUND).is_dir():
        folders.append((BACKGROUND, ()))
    for name, class_ids in folders:
        found, others = list_pictures(root / name)
        files += [(path, class_ids) for path in found]
        skipped += others
    return labels, files, skipped


def check_folder(root: Path, task: Task = "single-label", least: int = 2) -> None:
    """Raise what ``index_folder`` would raise of a folder without class folders or labels, at once."""
    _listing(root, task, least) if _has_label_file(root, task) else class_folders(root, least)


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
        skipped = len(index.skipped)
        lost = f" ({counted(skipped, 'file was', 'files were')} skipped)" if skipped else ""
        listed = _has_label_file(index.root, index.task)
        what, away = ("label", f"take the label out of {LABEL_FILE}") if listed else ("class", "move the folder away")
        raise DataError(
            f"each {what} needs at least {needed} usable pictures ({why}): {', '.join(short)}{lost}; add pictures "
            f"or {away}"
        )


def _check_all(paths: list[Path], look: Look | None, expect: Expect) -> Iterator[str | ImageError]:
    """Digest of each file whose header is a picture's, or what is wrong with it; in order, by several threads."""
    groups = [paths[start : start + _GROUP] for start in range(0, len(paths), _GROUP)]
    with ThreadPoolExecutor(min(8, 2 * (os.cpu_count() or 1))) as pool:
        futures = [pool.submit(_check_group, group, look, expect) for group in groups]
        try:
            for future in futures:
                yield from future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the few that are being read, not for the rest


def _check_group(paths: list[Path], look: Look | None, expect: Expect) -> list[str | ImageError]:
    """The same of some files, one after the other."""
    results: list[str | ImageError] = []
    opened: list[tuple[str, Image, Path] | ImageError] = []
    held = 0
    for path in paths:
        found, size = _open(path)
        opened.append(found)
        held += size
        if held >= _GROUP_BYTES or path is paths[-1]:
            results += _look_at(opened, look, expect)
            opened, held = [], 0
    return results


def _open(path: Path) -> tuple[tuple[str, Image, Path] | ImageError, int]:
    """A file's digest and its picture, opened, or what is wrong with it; and its bytes."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its other end
            return ImageError(f"{shown(path)}: not a regular file"), 0
        data = read_image_bytes(path)
        image = open_image(data, path)
    except ImageError as error:
        return error, 0
    return (hashlib.sha256(data).hexdigest(), image, path), len(data)


def _look_at(
    opened: list[tuple[str, Image, Path] | ImageError], look: Look | None, expect: Expect
) -> Iterator[str | ImageError]:
    """Show the pictures to ``look``."""
    expect([found[0] for found in opened if not isinstance(found, ImageError)])
    for found in opened:
        if isinstance(found, ImageError):
            yield found
            continue
        try:
            if look is not None:
                look(*found)
        except ImageError as error:
            yield error
        else:
            yield found[0]


def _drop_duplicates(
    records: list[ImageRecord], labels: tuple[str, ...]
) -> tuple[list[ImageRecord], list[SkippedFile]]:
    kept, dropped = [], []
    for copies in _by_content(records):
        classes = sorted({record.class_ids for record in copies})
        if len(classes) > 1:
            names = " and ".join(repr(labels[ids[0]] if ids else BACKGROUND) for ids in classes)
            if all(classes):
                names += _BOTH_LABELS
            dropped += [SkippedFile(r.path, f"the same picture stands in {names}") for r in copies]
        else:
            kept.append(copies[0])
            dropped += [SkippedFile(r.path, f"a copy of {shown(copies[0].path.name)}") for r in copies[1:]]
    return kept, dropped


def _merge_labels(records: list[ImageRecord], labels: tuple[str, ...]) -> tuple[list[ImageRecord], list[SkippedFile]]:
    """One record for each content, with the labels of all its copies; a copy that adds none is listed."""
    kept, dropped = [], []
    for copies in _by_content(records):
        found: set[int] = set()
        for copy in copies:
            if copy is not copies[0] and found.issuperset(copy.class_ids):
                dropped.append(SkippedFile(copy.path, f"a copy of {shown(copies[0].path.name)}"))
            found.update(copy.class_ids)
        kept.append(ImageRecord(copies[0].path, tuple(sorted(found)), copies[0].digest))
    return kept, dropped


def _by_content(records: list[ImageRecord]) -> Iterable[list[ImageRecord]]:
    groups: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in records:
        groups[record.digest].append(record)
    return groups.values()
