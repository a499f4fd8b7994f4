"""Which files lie in which class folder, and which lie where training does not look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError
from runtime.file_kind import looks_like, shown
from runtime.files import SYSTEM_FILES
from runtime.images import IMAGE_SUFFIXES, find_files, natural_key
from toolkit.class_folders import no_class_folders

_SYSTEM_FILES = frozenset(name.lower() for name in SYSTEM_FILES)
# looks_like needs no more.
_HEAD_BYTES = 1024


@dataclass(frozen=True)
class Unused:
    """A file or folder that training does not look at, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """What lies in a folder.

    Attributes:
        classes: name of each class folder, in natural order -> files that are pictures by their names.
        unused: everything else.
    """

    classes: dict[str, tuple[Path, ...]]
    unused: tuple[Unused, ...]


def list_files(root: Path) -> Listing:
    """List a folder that has one folder of pictures for each class; no picture is decoded.

    What training would refuse (a single class, an empty one, a name that is no text) is listed all the same.

    Raises:
        UsageError: no such folder, or it cannot be read.
        DataError: there are no class folders in it.
    """
    entries = _entries(root)
    unused = [Unused(p, "lies beside the class folders, not in one") for p in entries if not p.is_dir()]
    classes: dict[str, tuple[Path, ...]] = {}
    for folder in entries:
        if not folder.is_dir():
            continue
        if folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve()):
            unused.append(Unused(folder, "a link to a folder above it; not followed"))
            continue
        if not _is_text(folder.name):
            unused.append(Unused(folder, "the folder's name is not UTF-8 and cannot be a label; rename it"))
            continue
        pictures, others = _sort_files(folder)
        classes[folder.name] = tuple(pictures)
        unused += others
    if not classes:
        count = sum(file.path.suffix.lower() in IMAGE_SUFFIXES for file in unused)
        raise no_class_folders(root, count)
    return Listing(classes, tuple(unused))


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
        unused.append(Unused(where, f"the folder cannot be read: {error.strerror}; what is in it is not counted"))
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
