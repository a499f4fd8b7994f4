"""A folder of pictures as something to verify a ``.tflite`` file against."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.against import Against
from converters.inputs.label_match import match_labels
from converters.kinds import KINDS, MIXED
from converters.processes import run_in_process
from runtime.contract import ModelContract, read_contract
from runtime.errors import DataError, ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.preprocess import resize
from runtime.processors import processors
from toolkit.class_folders import list_pictures
from toolkit.dataset import index_folder
from toolkit.evaluation import truth_matrix
from toolkit.even_choice import even_choice
from toolkit.records import ImageRecord

#: Pictures that are taken at most, as many of each class as there are: 150 MB at 224 x 224 pixels.
MOST_PICTURES = 1000


def against_pictures(folder: Path, model: Path, scratch: Path, notify: Callable[[str], None]) -> Against:
    """Pictures in class folders, or in any folders where the true labels do not matter.

    For the trained model stands the float32 file beside the one that is verified, where there is one.

    Args:
        folder: with pictures; those in folders that are named like labels have these labels, and are taken alone.
        model: the file to be verified.
        scratch: an empty folder for the resized pictures.
        notify: is told in one line what is worth knowing.

    Raises:
        UsageError: no such folder; or nobody says how to normalise pixels for the file.
        DataError: no pictures in it that can be read.
        ModelError: the file is no picture classifier.
    """
    contract = read_contract(model)
    records, truth = _records(folder, contract, notify)
    chosen = sorted(even_choice(records, range(len(records)), MOST_PICTURES, seed=0))
    if len(chosen) < len(records):
        notify(f"{len(chosen)} of {len(records)} pictures are taken, evenly from the classes")
    pixels, kept = _resized([records[row] for row in chosen], contract, notify)
    if not kept:
        raise DataError(f"not one picture of {shown(folder)} can be read")
    rows = [chosen[position] for position in kept]
    images = scratch / "images.npz"
    np.savez(images, images=np.stack(pixels))
    scores, described = None, f"the pictures in {shown(folder)}"
    if (twin := _float_twin(model)) is not None:
        notify(f"{shown(twin.name)} stands for the trained model")
        scores, _ = run_in_process(twin, images)
        described += f", with {shown(twin.name)} for the trained model"
    known = truth_matrix([truth[row] for row in rows], len(contract.labels)) if truth else _none(contract)
    return Against(described, images, known, tuple(records[row].digest for row in rows), scores)


def _records(
    folder: Path, contract: ModelContract, notify: Callable[[str], None]
) -> tuple[list[ImageRecord], list[list[int]]]:
    """The pictures, and the class ids of each; no ids at all where no folder is named like a class."""
    try:
        index = index_folder(folder, contract.task, least=1)
    except DataError:
        index = None
    if index is not None:
        for file in index.skipped:
            notify(f"skipped: {shown(file.path)}: {file.reason}")
        match = match_labels(index.labels, contract.labels)
        ids = [match.class_ids.get(label) for label in index.labels]
        truth = [[i for c in image.class_ids if (i := ids[c]) is not None] for image in index.images]
        labelled = [row for row, found in enumerate(truth) if found]
        if labelled:
            if left := len(truth) - len(labelled):
                notify(f"{left} pictures lie in folders that are named like no class of the model; left out")
            return [index.images[row] for row in labelled], [truth[row] for row in labelled]
    notify("no folder is named like a class of the model: the true labels are not known")
    paths, _ = list_pictures(folder)
    records = []
    for path in paths:
        try:
            digest = hashlib.sha256(read_image_bytes(path)).hexdigest()
        except ImageError as error:
            notify(f"skipped: {error}")
            continue
        records.append(ImageRecord(path, (), digest))
    return records, []


def _resized(
    records: Sequence[ImageRecord], contract: ModelContract, notify: Callable[[str], None]
) -> tuple[list[NDArray[Any]], list[int]]:
    """Pixels of the pictures that can be decoded, and their positions."""

    def decode(record: ImageRecord) -> NDArray[Any] | ImageError:
        try:
            return resize(decode_image(read_image_bytes(record.path), record.path), contract.preprocessing)
        except ImageError as error:
            return error

    pixels: list[NDArray[Any]] = []
    kept: list[int] = []
    with ThreadPoolExecutor(processors()) as pool:
        for position, found in enumerate(pool.map(decode, records)):
            if isinstance(found, ImageError):
                notify(f"skipped: {found}")
            else:
                pixels.append(found)
                kept.append(position)
    return pixels, kept


def _float_twin(model: Path) -> Path | None:
    """NAME_float32.tflite beside NAME_int8.tflite."""
    for kind in (*KINDS, MIXED):
        if kind != "float32" and model.stem.endswith(f"_{kind}"):
            twin = model.with_name(f"{model.stem.removesuffix(kind)}float32.tflite")
            return twin if twin.is_file() else None
    return None


def _none(contract: ModelContract) -> NDArray[np.bool_]:
    return np.zeros((0, len(contract.labels)), np.bool_)
