"""Which files lie in which class folder, and which lie where training does not look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError
from runtime.file_kind import looks_like, shown
from runtime.files import SYSTEM_FILES
from runtime.images import IMAGE_SUFFIXES, find_files, natural_key
from runtime.spec import Task
from toolkit.class_folders import LABEL_FILE, no_class_folders, why_beside
from toolkit.label_file import read_label_file

_SYSTEM_FILES = frozenset(name.lower() for name in SYSTEM_FILES)
# looks_like needs no more.
_HEAD_BYTES = 1024


@dataclass(frozen=True)
class Unused:
    """A file or folder that training does not look at, and why; or, if it ``stops``, an error ends training there."""

    path: Path
    reason: str
    stops: bool = False


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Attributes:
        labels: names of the class folders, or the labels of ``labels.csv``, in natural order.
        files: files that are pictures by their names, each with its labels.
        unused: everything else.
        task: what the folder is for.
        listed: whether ``labels.csv`` says the labels, not the folders.
    """

    labels: tuple[str, ...]
    files: tuple[tuple[Path, tuple[str, ...]], ...]
    unused: tuple[Unused, ...]
    task: Task
    listed: bool


def list_files(root: Path, task: Task = "single-label") -> Listing:
    """List a folder of pictures as training takes it; no picture is decoded.

    What training would refuse (a single class, an empty one, a name that is no text) is listed all the same.

    Args:
        root: a folder per class, or, with ``multi-label``, one with ``labels.csv``.
        task: what it is for.

    Raises:
        UsageError: no such folder, or it cannot be read.
        DataError: there are no class folders in it, or its ``labels.csv`` cannot be used.
    """
    if task == "multi-label" and (root / LABEL_FILE).is_file():
        names, found, skipped = read_label_file(root, least=1)
        files = tuple((path, tuple(names[i] for i in ids)) for path, ids in found)
        return Listing(names, files, tuple(Unused(file.path, file.reason) for file in skipped), task, listed=True)
    classes, unused = _class_files(root)
    of_folders = tuple((path, (label,)) for label, paths in classes.items() for path in paths)
    return Listing(tuple(classes), of_folders, unused, task, listed=False)


def _class_files(root: Path) -> tuple[dict[str, list[Path]], tuple[Unused, ...]]:
    """Name of each class folder -> its pictures by their names; and everything else."""
    entries = _entries(root)
    unused = [Unused(p, why_beside(p)) for p in entries if not p.is_dir()]
    classes: dict[str, list[Path]] = {}
    for folder in entries:
        if not folder.is_dir():
            continue
        if folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve()):
            unused.append(Unused(folder, "a link to a folder above it; not followed"))
            continue
        if not _is_text(folder.name):
            unused.append(Unused(folder, "its name is not UTF-8 and cannot be a label; rename it", stops=True))
            continue
        pictures, others = _sort_files(folder)
        classes[folder.name] = pictures
        unused += others
    if not classes:
        count = sum(file.path.suffix.lower() in IMAGE_SUFFIXES for file in unused)
        raise no_class_folders(root, count)
    return classes, tuple(unused)


def _entries(root: Path) -> list[Path]:
    try:
        if not root.exists():
            raise UsageError(f"no such folder: {shown(root)}")
        if not root.is_dir():
            raise UsageError(f"{shown(root)} is a file; give a folder that has one folder of pictures for each class")
        entries = sorted(root.iterdir(), key=lambda p: (natural_key(p.name), p.name))
    except OSError as error:
        raise UsageError(f"cannot read the folder {shown(root)}: {error.strerror}") from error
    return [path for path in entries if not _is_system_file(path)]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_system_file(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _SYSTEM_FILES


def _sort_files(folder: Path) -> tuple[list[Path], list[Unused]]:
    pictures, unused = [], []
    try:
        for path in find_files(folder):
            if _is_system_file(path):
                continue
            if path.is_dir():
                unused.append(Unused(path, "a link to a folder; not followed"))
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                pictures.append(path)
            else:
                unused.append(Unused(path, _why_no_picture(path)))
    except OSError as error:
        where = Path(error.filename) if error.filename else folder
        reason = f"the folder cannot be read: {error.strerror}; what is in it is not counted"
        unused.append(Unused(where, reason, stops=True))
    return pictures, unused


def _why_no_picture(path: Path) -> str:
    reason = f"not a picture by its name ({shown(path.suffix) or 'no ending'})"
    try:
        if not path.is_file():  # opening a pipe would wait for its other end
            return reason
        with path.open("rb") as file:
            kind = looks_like(file.read(_HEAD_BYTES))
    except OSError:
        return reason
    if "HEIC" in kind:
        return f"{reason}; it is {kind}, save it as JPEG"
    return f"{reason}; it begins like {kind}" if "picture" in kind else reason
