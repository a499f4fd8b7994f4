"""Pictures to convert a stranger's model with: some set the ranges of numbers, others check the result."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import TestPictures
from converters.inputs.label_match import match_labels
from converters.inputs.predictor import Notify
from runtime.errors import DataError, ImageError, UsageError, counted, one_line
from runtime.file_kind import shown
from runtime.images import decode_image, find_images, read_image_bytes
from runtime.preprocess import resize
from runtime.spec import Preprocessing

#: Pictures that set ranges, as ``toolkit train`` keeps them; and pictures that check, at most.
CALIBRATE, CHECK = 200, 400
#: With fewer usable pictures ranges are chance, and what little is left checks nothing.
LEAST = 10
# Of each group of pictures, in turn, every third checks.
_EVERY = 3
# Lines on pictures that cannot be used, at most; the rest is counted.
_LISTED = 20
# Generated pictures where there are no others.
_GENERATED = 8


@dataclass(frozen=True)
class Pictures:
    """What a model is converted with.

    Attributes:
        calibration: (count, height, width, 3), 0..255; none where there is no folder of pictures.
        check: other pictures; those with known labels come first.
        digest: hex sha256 of the files and their use; empty for generated pictures.
    """

    calibration: NDArray[Any]
    check: TestPictures
    digest: str = ""


def read_pictures(
    folder: Path, preprocessing: Preprocessing, labels: Sequence[str], notify: Notify, calibrate: int = CALIBRATE
) -> Pictures:
    """Choose pictures of a folder, all depths, as many of each sub-folder or class as there are.

    Args:
        folder: of pictures; a sub-folder named like a label says what its pictures show.
        preprocessing: of the model.
        labels: of the model.
        notify: is told what was chosen, and which pictures cannot be used.
        calibrate: pictures that set ranges, at most.

    Raises:
        UsageError: no such folder, or one without pictures.
        DataError: fewer than ``LEAST`` pictures in it can be used.
    """
    groups = _groups(folder, labels)
    found = sum(len(group.paths) for group in groups)
    reader = _Reader(folder, preprocessing)
    calibration: list[NDArray[Any]] = []
    check: list[tuple[int, NDArray[Any], str]] = []
    taken = [number % _EVERY for number, _ in enumerate(groups)]
    uses = []
    for number, path in _in_turn(groups):
        if len(calibration) >= calibrate and len(check) >= CHECK:
            break
        read = reader.read(path)
        if read is None:
            continue
        pixels, digest = read
        taken[number] += 1
        checks = len(calibration) >= calibrate or (taken[number] % _EVERY == 0 and len(check) < CHECK)
        uses.append(f"{digest} {checks} {groups[number].class_id}")
        if checks:
            check.append((groups[number].class_id, pixels, digest))
        else:
            calibration.append(pixels)
    reader.tell(notify)
    if len(calibration) + len(check) < LEAST:
        raise DataError(
            f"--calibration-dir {shown(folder)} holds "
            f"{counted(len(calibration) + len(check), 'picture')} that can be used; at "
            f"least {LEAST} are needed, 100 or more are better: some set the ranges, the others check the result"
        )
    check.sort(key=lambda row: row[0] < 0)
    pictures = Pictures(np.stack(calibration), _as_test(check, len(labels)), _digest("\n".join(uses).encode()))
    notify(_summary(folder, found, pictures))
    return pictures


def generated_pictures(preprocessing: Preprocessing, classes: int) -> Pictures:
    """Smooth coloured waves, always the same ones, to compare float files with the model they were made from."""
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0 : preprocessing.height, 0 : preprocessing.width].astype(np.float64)
    down, across = down / preprocessing.height, across / preprocessing.width
    images = []
    for _ in range(_GENERATED):
        ground, waves = rng.uniform(40, 215, 3), rng.normal(0, 60, (2, 3))
        turns = rng.uniform(0.5, 6, 2)
        values = ground + waves[0] * np.sin(6.3 * turns[0] * down)[..., None]
        values = values + waves[1] * np.sin(6.3 * turns[1] * across)[..., None] + rng.normal(0, 12, (*down.shape, 3))
        images.append(values.clip(0, 255).astype(np.uint8))
    none = np.zeros((0, *images[0].shape), np.uint8)
    return Pictures(none, _as_test([(-1, image, _digest(image.tobytes())) for image in images], classes))


@dataclass(frozen=True)
class _Group:
    """Pictures that are alike by where they lie; ``class_id`` is -1 where that is no label."""

    class_id: int
    paths: tuple[Path, ...]


def _groups(folder: Path, labels: Sequence[str]) -> list[_Group]:
    """By class, else by folder, each in an order that only names decide."""
    name = shown(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--calibration-dir {name} is a file; name a folder of pictures")
    try:
        paths = list(find_images(folder))
    except FileNotFoundError:
        raise UsageError(f"--calibration-dir {name}: no such folder") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"--calibration-dir {name} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not paths:
        raise UsageError(f"--calibration-dir {name} holds no pictures")
    parts = {path: path.relative_to(folder).parts[:-1] for path in paths}
    class_ids = _class_ids({part for row in parts.values() for part in row}, labels)
    members: dict[tuple[int, str], list[Path]] = defaultdict(list)
    for path in paths:
        class_id = next((class_ids[part] for part in reversed(parts[path]) if part in class_ids), -1)
        members[class_id, "" if class_id >= 0 else "/".join(parts[path])].append(path)

    def order(path: Path) -> str:
        return _digest(os.fsencode(path.relative_to(folder).as_posix()))

    return [_Group(class_id, tuple(sorted(rows, key=order))) for (class_id, _), rows in sorted(members.items())]


def _class_ids(names: set[str], labels: Sequence[str]) -> dict[str, int]:
    """Of the folders that are named like a label, or that retrain.py would have made that label of."""
    match = match_labels(sorted(names), labels)
    # As in create_image_lists of retrain.py.
    plain = {name: re.sub("[^a-z0-9]+", " ", name.lower()) for name in match.unmatched}
    mangled = match_labels(sorted(set(plain.values())), labels).class_ids
    return {**match.class_ids, **{name: mangled[text] for name, text in plain.items() if text in mangled}}


def _in_turn(groups: Sequence[_Group]) -> Iterator[tuple[int, Path]]:
    """One path of each group, then the next of each: (position of the group, path)."""
    for rank in range(max(len(group.paths) for group in groups)):
        for number, group in enumerate(groups):
            if rank < len(group.paths):
                yield number, group.paths[rank]


class _Reader:
    """Reads pictures and keeps a list of those that cannot be used."""

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._folder, self._preprocessing = folder, preprocessing
        self._digests: set[str] = set()
        self._failures: list[str] = []
        self._twice = 0

    def read(self, path: Path) -> tuple[NDArray[Any], str] | None:
        """Resized pixels and the file's digest; None for a picture that is damaged or was read before."""
        try:
            data = read_image_bytes(path)
            digest = _digest(data)
            if digest in self._digests:
                self._twice += 1
                return None
            pixels = resize(decode_image(data, path), self._preprocessing)
        except ImageError as error:
            self._failures.append(one_line(error))
            return None
        self._digests.add(digest)
        return pixels, digest

    def tell(self, notify: Notify) -> None:
        """List what cannot be used."""
        for line in self._failures[:_LISTED]:
            notify(f"skipped: {line}")
        if self._failures:
            more = len(self._failures) - _LISTED
            notify(
                f"{counted(len(self._failures), 'picture')} skipped, "
                + (f"{more} not listed" if more > 0 else "listed above")
            )
        if self._twice:
            notify(f"{counted(self._twice, 'picture')} left out: the same file lies there more than once")


def _as_test(rows: Sequence[tuple[int, NDArray[Any], str]], classes: int) -> TestPictures:
    known = [class_id for class_id, _, _ in rows if class_id >= 0]
    truth = np.zeros((len(known), classes), np.bool_)
    truth[np.arange(len(known)), known] = True
    return TestPictures(np.stack([pixels for _, pixels, _ in rows]), truth, tuple(digest for _, _, digest in rows))


def _summary(folder: Path, found: int, pictures: Pictures) -> str:
    known, checks = len(pictures.check.truth), len(pictures.check.images)
    truth = {0: "whose true labels are not known", checks: "whose labels their folders say"}.get(
        known, f"{known} of them with labels that their folders say"
    )
    return (
        f"pictures: {len(pictures.calibration)} of the {found} in {shown(folder)} set ranges; {checks} others check "
        f"the files, {truth}"
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
