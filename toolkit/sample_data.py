"""Pictures to try the toolkit on: drawn shapes (no network needed) and TensorFlow's flower photographs."""

from __future__ import annotations

import contextlib
import gzip
import re
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

from runtime.errors import DataError, UsageError
from runtime.files import SYSTEM_FILES
from toolkit import shapes
from toolkit.download import fetch
from toolkit.progress import progress_bar

# 80 test pictures at the default split, so that one of them is little more than a point of accuracy.
DEFAULT_COUNT = 200

# Address: https://www.tensorflow.org/tutorials/load_data/images. SHA-256 and size (228,813,984 bytes):
# tensorflow/datasets, tensorflow_datasets/datasets/tf_flowers/checksums.tsv, commit e9e3273204a9.
FLOWERS_URL = "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz"
FLOWERS_CHECKSUM = "sha256:4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"
FLOWER_CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
# The real archive holds 3,671 files of 230 MB.
_MAX_ARCHIVE_FILES = 10_000
_MAX_ARCHIVE_BYTES = 1024**3


@dataclass(frozen=True)
class SampleData:
    """A folder of sample pictures.

    Attributes:
        folder: holds one folder per class.
        classes: the classes' names, which are their folders' names.
        files: number of pictures in all classes together.
        new: how many of them were made by this call; 0 when all were there already.
    """

    folder: Path
    classes: tuple[str, ...]
    files: int
    new: int


def draw_shapes(folder: Path, count: int = DEFAULT_COUNT, seed: int = 0) -> SampleData:
    """Draw ``count`` pictures of each of four shapes as ``folder/<class>/<class>_0001.jpg`` and so on.

    A picture depends on the seed, its class and its number alone, so a larger count only adds pictures and
    an interrupted run goes on where it was. The same seed gives the same bytes under the same versions of
    Pillow and numpy.

    Args:
        folder: new or empty, or drawn by this function with the same seed.
        count: pictures per class, at least 1.
        seed: 0 or more.

    Raises:
        UsageError: ``count`` or ``seed`` is out of range.
        DataError: the folder holds something else, or cannot be written.
    """
    if count < 1:
        raise UsageError(f"the number of pictures per class must be 1 or more, not {count}")
    if seed < 0:
        raise UsageError(f"the seed must be 0 or more, not {seed}")
    try:
        present = _drawn_before(folder, seed)
        wanted = [(shape, number) for shape in shapes.CLASSES for number in range(1, count + 1)]
        missing = [(shape, number) for shape, number in wanted if _picture(folder, shape, number) not in present]
        if missing:
            _draw(folder, missing, seed, done=len(wanted) - len(missing))
    except OSError as error:
        raise DataError(f"cannot draw into {folder}: {error.strerror or error}") from error
    return SampleData(folder, shapes.CLASSES, len(present) + len(missing), len(missing))


def _draw(folder: Path, missing: list[tuple[str, int]], seed: int, done: int) -> None:
    for shape in shapes.CLASSES:
        (folder / shape).mkdir(parents=True, exist_ok=True)
    with progress_bar("drawing shapes", done + len(missing), done=done) as bar:
        for shape, number in missing:
            generator = np.random.default_rng([seed, shapes.CLASSES.index(shape), number])
            path = _picture(folder, shape, number)
            part = path.with_name(path.name + ".part")
            part.write_bytes(shapes.draw_jpeg(shape, generator, _comment(seed)))
            part.replace(path)
            bar.update()


def _picture(folder: Path, shape: str, number: int) -> Path:
    return folder / shape / f"{shape}_{number:04d}.jpg"


def _comment(seed: int) -> str:
    """Written into every picture, so that a later run knows its own and their seed."""
    return f"toolkit sample-data shapes, seed {seed}"


def _drawn_before(folder: Path, seed: int) -> set[Path]:
    """The pictures of an earlier run with this seed; anything else in the folder is refused."""
    found: set[Path] = set()
    if folder.exists() and not folder.is_dir():
        raise DataError(f"cannot draw into {folder}: it is a file; give a new or empty folder")
    for entry in _visible(folder):
        if entry.name not in shapes.CLASSES or not entry.is_dir():
            raise _foreign(folder, entry)
        for path in _visible(entry):
            if not re.fullmatch(rf"{entry.name}_\d{{4,}}\.jpg(\.part)?", path.name) or not path.is_file():
                raise _foreign(folder, path)
            if path.suffix == ".jpg":  # a .part was cut short and is drawn again
                _require_own(folder, path, seed)
                found.add(path)
    return found


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, which may be missing, but for what desktops leave there."""
    return sorted(entry for entry in folder.iterdir() if entry.name not in SYSTEM_FILES) if folder.exists() else []


def _require_own(folder: Path, path: Path, seed: int) -> None:
    comment = b""
    with contextlib.suppress(UnidentifiedImageError, Image.DecompressionBombError), Image.open(path) as image:
        comment = image.info.get("comment", b"")
    if comment == _comment(seed).encode():
        return
    if comment.startswith(_comment(0)[:-1].encode()):
        raise DataError(
            f"cannot draw into {folder}: its pictures were drawn with another seed "
            f"({comment.decode(errors='replace')}, not {seed}); give another folder, or that seed"
        )
    raise _foreign(folder, path)


def _foreign(folder: Path, entry: Path) -> DataError:
    return DataError(
        f"cannot write into {folder}: it holds {entry.relative_to(folder).as_posix()!r}, which is not "
        "part of this picture set; give a new or empty folder"
    )


def fetch_flowers(folder: Path, *, url: str = FLOWERS_URL, checksum: str = FLOWERS_CHECKSUM) -> SampleData:
    """Download TensorFlow's 3,670 flower photographs (229 MB) and unpack them as ``folder/<class>/*.jpg``.

    The archive is downloaded to ``flower_photos.tgz`` beside the folder and removed once it is unpacked; one
    that was put there by hand is used and kept. The folder appears whole or not at all.

    Args:
        folder: new or empty, or filled by this function before.
        url: where the archive is.
        checksum: ``"sha256:HEX"`` of the archive.

    Raises:
        DataError: the download failed, the archive is not the expected one, or the folder holds other things.
    """
    if all(any((folder / name).glob("*.jpg")) for name in FLOWER_CLASSES):
        return SampleData(folder, FLOWER_CLASSES, _count_photos(folder), 0)
    target = folder.absolute()  # "." has a name and a place only then
    archive = target.parent / PurePosixPath(url).name
    # A fixed name: what a killed run left there is cleared by the next one.
    unpacking = target.with_name(f".{target.name}.unpacking")
    try:
        _require_empty(folder)
        was_there = archive.exists()
        fetch(url, archive, checksum=checksum, description="flower photographs")
        _remove_tree(unpacking)
        try:
            _unpack(archive, unpacking)
            _require_empty(folder)  # the download took minutes: somebody may have put something there
            _remove_tree(target)
            unpacking.rename(target)
        finally:
            _remove_tree(unpacking)
        if not was_there:
            archive.unlink()
    except OSError as error:
        raise DataError(f"cannot write {error.filename or folder}: {error.strerror or error}") from error
    files = _count_photos(folder)
    return SampleData(folder, FLOWER_CLASSES, files, files)


def _count_photos(folder: Path) -> int:
    return sum(1 for name in FLOWER_CLASSES for _ in (folder / name).glob("*.jpg"))


def _require_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"cannot unpack into {folder}: it is a file; give a new or empty folder")
    for entry in _visible(folder):
        raise _foreign(folder, entry)


def _remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _unpack(archive: Path, target: Path) -> None:
    """Unpack the flower archive into the new folder ``target``, without the folder all its files are in.

    Only regular files are made, by our own writes, with names that were looked at: so nothing depends on
    which of tarfile's filters this Python has.
    """
    files = 0
    size = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                inner = _inner_path(archive, member)
                files += 1
                size += member.size
                if files > _MAX_ARCHIVE_FILES or size > _MAX_ARCHIVE_BYTES:
                    raise DataError(
                        f"refused to unpack {archive}: more than {_MAX_ARCHIVE_FILES} files or "
                        f"{_MAX_ARCHIVE_BYTES} bytes; it is not the flower archive"
                    )
                content = tar.extractfile(member)
                if content is None or not inner.parts:
                    continue
                path = target / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("xb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, FileExistsError, ValueError) as error:
        raise DataError(f"cannot unpack {archive}: {error}; delete it and try again") from error
    for name in FLOWER_CLASSES:
        if not any((target / name).glob("*.jpg")):
            raise DataError(f"{archive} holds no pictures of {name}; it is not the flower archive")


def _inner_path(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """Where a member goes inside the folder; anything but a plain file or folder under it is refused."""
    path = PurePosixPath(member.name)
    # Backslash and colon separate folders and drives on Windows.
    unsafe = path.is_absolute() or ".." in path.parts or re.search(r"[\\:\0]", member.name)
    if unsafe or not (member.isreg() or member.isdir()) or member.issparse():
        raise DataError(f"refused to unpack {archive}: it holds {member.name!r}, which is no plain file inside it")
    return PurePosixPath(*path.parts[1:])
