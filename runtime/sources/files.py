"""Pictures from paths, folders, patterns, standard input and addresses."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import ImageError, UsageError
from runtime.file_kind import shown
from runtime.images import IMAGE_SUFFIXES, MAX_FILE_BYTES, find_images, natural_key, read_image_bytes
from runtime.sources.kinds import is_url, without_password

# An address must answer within this many seconds, and all of the picture come within so many.
_SILENCE, _ALL = 10.0, 60.0
_WILD = frozenset("*?[")


@dataclass(frozen=True)
class FoundPicture:
    """A picture that is to be classified; its bytes are read when they are asked for.

    Attributes:
        source: what it is called in answers: its path or address; ``-`` from standard input, and ``-#2`` the second.
        named: whether the user named it by itself, as against a folder that it lies in.
        path: of a file; None where it comes from elsewhere.
    """

    source: str
    named: bool
    path: str | None
    _read: Callable[[], bytes] = field(repr=False)

    def read(self) -> bytes:
        """The bytes of the encoded picture.

        Raises:
            ImageError: they cannot be had.
        """
        return self._read()


def found_pictures(names: Sequence[str]) -> Iterator[FoundPicture]:
    """All pictures that are meant.

    A name may be a file, a folder (its pictures, all depths, natural order), a pattern as the shell has them
    (``photos/**/*.jpg``, where the shell has left it as it is), ``-`` or an http(s) address.

    Raises:
        UsageError: a name that means nothing; before any picture is given.
    """
    if list(names).count("-") > 1:
        raise UsageError("- can be named once: standard input ends only once")
    return _in_turn([_meant(name) for name in names])


def _in_turn(parts: list[Iterator[FoundPicture]]) -> Iterator[FoundPicture]:
    for part in parts:
        yield from part


def picture_paths(names: Sequence[str]) -> Iterator[str]:
    """The same for files alone: their paths.

    Raises:
        UsageError: a name that means no files.
    """
    for name in names:
        if name == "-" or is_url(name):
            raise UsageError(f"{shown(name)}: only files, folders and patterns can be named here")
    return iter([found.source for found in found_pictures(names)])


def _meant(name: str) -> Iterator[FoundPicture]:
    if name == "-":
        from runtime.sources.piped import piped_pictures

        return piped_pictures()
    if is_url(name) and not Path(name).exists():
        return iter([_at_address(name)])
    try:
        paths, named = _pictures(name)
    except OSError as error:
        raise UsageError(f"cannot read {shown(error.filename or name)}: {error.strerror}") from error
    except ValueError:  # a NUL
        raise UsageError(f"not a possible path: {shown(name)}") from None
    return iter([_in_file(path, named) for path in paths])


def _in_file(path: str, named: bool) -> FoundPicture:
    return FoundPicture(path, named, path, lambda: read_image_bytes(Path(path)))


def _at_address(url: str) -> FoundPicture:
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{shown(without_password(url))}: pictures are fetched from http:// and https:// only")

    def read() -> bytes:
        from runtime.sources.background import in_background
        from runtime.sources.web import fetch

        # On a thread of its own: looking up a name cannot be interrupted, and Ctrl-C must not wait for it.
        return in_background(lambda: fetch(url, MAX_FILE_BYTES, _SILENCE, _ALL, ImageError))

    return FoundPicture(without_password(url), True, None, read)


def _pictures(name: str) -> tuple[list[str], bool]:
    """Paths that a name means, and whether it names one picture by itself."""
    path = Path(name)
    try:
        os.lstat(name)  # of the name itself: Path("") is the current folder
    except FileNotFoundError:
        if not _WILD & set(name):
            raise UsageError(f"no such file or folder: {shown(name)}") from None
        return _matching(name), False
    if not path.is_dir():
        return [name], True
    inside = [str(image) for image in find_images(path)]
    if not inside:
        raise UsageError(f"no pictures in the folder {shown(name)}")
    return inside, False


def _matching(pattern: str) -> list[str]:
    """Pictures that a pattern matches, and those in folders that it matches; hidden ones are left out.

    Raises:
        UsageError: there are none.
    """
    path = Path(pattern)
    suffix = path.suffix.lower()
    # Where the pattern says what the files are called, that holds; a plain * means pictures.
    wanted = {suffix} if suffix and not _WILD & set(suffix) else IMAGE_SUFFIXES
    parts = path.parts[1:] if path.anchor else path.parts
    found: dict[str, None] = {}
    for match in _walk(Path(path.anchor), list(parts)):
        if match.is_dir():
            found.update((str(image), None) for image in find_images(match))
        elif match.suffix.lower() in wanted:
            found[str(match)] = None
    if not found:
        raise UsageError(f"no pictures match {shown(pattern)}")
    return list(found)


def _walk(folder: Path, parts: list[str]) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if not _WILD & set(part):
        if (folder / part).exists():
            yield from _walk(folder / part, rest)
        return
    if not folder.is_dir():
        return
    if part == "**":
        yield from _walk(folder, rest or ["*"])
    for child in sorted(folder.iterdir(), key=lambda child: natural_key(child.name)):
        if child.name.startswith(".") and not part.startswith("."):
            continue
        if part == "**":
            if child.is_dir() and not child.is_symlink():  # a link to a folder above would never end
                yield from _walk(child, parts)
        elif fnmatch.fnmatchcase(os.path.normcase(child.name), os.path.normcase(part)):
            yield from _walk(child, rest)
