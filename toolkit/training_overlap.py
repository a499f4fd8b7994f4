"""Whether a folder holds pictures that a model was trained on: an accuracy on those says little."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from converters.bundle import TEST_SPLIT_FILE
from runtime.contract import ModelContract
from runtime.errors import ModelError
from runtime.file_kind import shown
from toolkit.records import DatasetIndex


@dataclass(frozen=True)
class Overlap:
    """What is known of it.

    Attributes:
        note: a sentence for the user; empty where there is nothing to say.
        test_rows: positions of the pictures that were in the training's test share, where that is known.
    """

    note: str
    test_rows: tuple[int, ...]


def find_overlap(model: Path, contract: ModelContract, index: DatasetIndex) -> Overlap:
    """Look for the training's pictures in a folder.

    A model of ours carries the digest of the data set it was trained on, and a bundle those of its test pictures.
    Test pictures in a folder mean that those it was trained on are probably there too.

    Args:
        model: a ``.tflite`` file or a bundle.
        contract: of the file that was run.
        index: the folder.

    Raises:
        ModelError: the bundle's list of test pictures is damaged.
    """
    tested = _test_digests(model / TEST_SPLIT_FILE) if model.is_dir() else frozenset()
    rows = tuple(row for row, image in enumerate(index.images) if image.digest in tested)
    same = contract.spec is not None and contract.spec.provenance.get("dataset") == index.digest()
    unseen = f"; see the accuracy on the {len(rows)} that it was only tested on" if rows else ""
    if same:
        return Overlap(f"this is the folder that the model was trained on: most of its pictures it knows{unseen}", rows)
    if rows:
        return Overlap(f"the folder holds pictures of the training: the model may know many of them{unseen}", rows)
    return Overlap("", ())


def _test_digests(path: Path) -> frozenset[str]:
    try:
        return frozenset(str(entry["sha256"]) for entry in json.loads(path.read_bytes())["images"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{shown(path)} is damaged: {error!r}") from error
