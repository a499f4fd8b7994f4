"""The class folders of a data set, and the files in them; no picture is opened."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import DataError, UsageError
from runtime.file_kind import shown
from runtime.files import SYSTEM_FILES
from runtime.images import IMAGE_SUFFIXES, find_files, natural_key
from toolkit.records import SkippedFile

#: A folder of this name holds pictures that belong to no class.
BACKGROUND = "_background_"
#: A file of this name says the labels of a multi-label data set; see ``toolkit.label_file``.
LABEL_FILE = "labels.csv"

# A camera card keeps no case.
_SYSTEM_FILES = frozenset(name.lower() for name in SYSTEM_FILES)


def list_pictures(folder: Path) -> tuple[list[Path], list[SkippedFile]]:
    """Files below a folder that are pictures by their names, in natural order, and all others.

    Raises:
        DataError: a folder cannot be read.
    """
    found, skipped = [], []
    for path in _list_files(folder):
        if path.is_dir():
            skipped.append(SkippedFile(path, "a link to a folder; not followed"))
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            found.append(path)
        else:
            skipped.append(SkippedFile(path, f"not a picture by its name ({shown(path.suffix) or 'no ending'})"))
    return found, skipped


def require_folder(root: Path) -> None:
    """Make sure that there is a folder.

    Raises:
        UsageError: there is none.
    """
    try:
        if not root.exists():
            raise UsageError(f"no such folder: {shown(root)}")
        if not root.is_dir():
            raise UsageError(f"{shown(root)} is a file; name a folder that has one folder of pictures for each class")
    except OSError as error:
        raise UsageError(f"cannot read the folder {shown(root)}: {error.strerror}") from error


def class_folders(root: Path, least: int = 2) -> tuple[tuple[str, ...], list[SkippedFile]]:
    """Labels in natural order, and what lies beside them; ``_background_`` is no label.

    Args:
        root: the folder.
        least: class folders it must have, 1 or 2.

    Raises:
        UsageError: no such folder.
        DataError: no class folders, or too few.
    """
    require_folder(root)
    try:
        # The name itself decides between names that are equal in natural order (a1, a01, A1).
        entries = sorted(root.iterdir(), key=lambda p: (natural_key(p.name), p.name))
        folders = [p for p in entries if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"cannot read the folder {shown(root)}: {error.strerror}") from error
    loose = [p for p in entries if not p.is_dir() and not _is_system_file(p)]
    skipped = [SkippedFile(path, why_beside(path)) for path in loose]
    skipped += [SkippedFile(p, "a link to a folder above it; not followed") for p in folders if _leads_above(p)]
    folders = [p for p in folders if not _leads_above(p) and p.name != BACKGROUND]
    if not folders:
        pictures = sum(p.suffix.lower() in IMAGE_SUFFIXES for p in loose)
        raise no_class_folders(root, pictures)
    if len(folders) < least:
        raise _one_class_folder(root, folders[0].name)
    for folder in folders:
        _require_text(folder)
    return tuple(folder.name for folder in folders), skipped


def check_outside(bundle: Path, root: Path) -> None:
    """Make sure that a bundle does not end up among the pictures, where the next training would look at it.

    Args:
        bundle: its folder; need not be there.
        root: the folder of pictures.

    Raises:
        UsageError: it lies in the folder, or in a class folder that is a link.
    """
    place = bundle.resolve()
    for folder in (root, *(entry for entry in root.iterdir() if entry.is_symlink() and entry.is_dir())):
        held = folder.resolve()
        if not place.is_relative_to(held) or (place.relative_to(held).parts or (".",))[0].startswith("."):
            continue  # hidden folders are not looked at; the folder itself is refused for what it holds
        raise UsageError(
            f"--output-dir {shown(bundle)} lies in {shown(folder)}, among the pictures, where the next training would "
            "look at it; name a place elsewhere"
        )


def why_beside(path: Path) -> str:
    """Why a file is not used that lies beside the class folders."""
    if path.name == LABEL_FILE:
        return "is read with --multi-label only"
    return "lies beside the class folders, not in one"


def no_class_folders(root: Path, pictures: int) -> DataError:
    """What to say of a folder without class folders that holds so many pictures itself."""
    held = {0: "", 1: "one picture but "}.get(pictures, f"{pictures} pictures but ")
    return DataError(
        f"{shown(root)} has {held}no class folders: put the pictures of each class into a folder of its own, for "
        f"example {shown(root / 'cat')} and {shown(root / 'dog')}{_label_file_hint(root)}"
    )


def _one_class_folder(root: Path, name: str) -> DataError:
    without = "add a folder of pictures without it"
    if (root / BACKGROUND).is_dir():
        without = f"give {BACKGROUND}, which is no class, another name"
    return DataError(
        f"{shown(root)} has one class folder, {name!r}; a classifier needs two or more (for a single thing, {without})"
        f"{_label_file_hint(root)}"
    )


def _label_file_hint(root: Path) -> str:
    return f"; {LABEL_FILE} is read with --multi-label" if (root / LABEL_FILE).is_file() else ""


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
