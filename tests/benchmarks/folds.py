"""A folder of photographs in folds, each left out of the training once: what the accuracy benchmarks share."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.dataset import index_folder
from toolkit.folders import default_cache_dir
from toolkit.grouping import group_images, groups_of
from toolkit.records import DatasetIndex
from toolkit.signatures import Signature, SignatureCache

FLOWERS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flowers"


def arguments(description: str | None) -> tuple[argparse.ArgumentParser, list[str], list[str]]:
    """What the accuracy benchmarks take: a parser, the arguments for it, and the options of train, those after --.

    argparse by itself takes the first option after -- for a folder that is not there.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FLOWERS, help="a folder per class")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return parser, given[:end], given[end + 1 :]


def fold_number(group: str, folds: int, parting: int = 0) -> int:
    """The fold of a group of pictures, 0 to folds - 1: the same whatever else is in the folder.

    Args:
        group: hex digest.
        folds: how many there are.
        parting: another number parts the pictures anew.
    """
    salted = f"{group} {parting}" if parting else group
    return int(hashlib.sha256(salted.encode()).hexdigest(), 16) % folds


def read_pictures(folder: Path, cache_dir: Path) -> DatasetIndex:
    """The pictures, those that look alike in groups."""
    signatures: dict[str, Signature] = {}
    with SignatureCache(cache_dir, print) as cache:

        def look(digest: str, image: Any, path: Path) -> None:
            signatures[digest] = cache.signature(digest, image, path)

        index = index_folder(folder, look=look)
    return group_images(index, groups_of(index, signatures))


def link_fold(index: DatasetIndex, folds: int, fold: int, work: Path, parting: int = 0) -> dict[str, str]:
    """Links to the pictures: those of the fold in ``work/left_out``, all others in ``work/photographs``.

    Returns:
        Path of each link -> hex sha256 of the picture's content.
    """
    names: dict[str, str] = {}
    for number, image in enumerate(index.images):
        share = "left_out" if fold_number(image.group, folds, parting) == fold else "photographs"
        link = work / share / index.labels[image.class_id] / f"{number:06}{image.path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(image.path.resolve())
        names[str(link)] = image.digest
    return names


def paired_change(ours: Any, theirs: Any) -> tuple[float, float]:
    """Difference in accuracy in points, and its standard error, over pictures that both answered.

    Args:
        ours: (pictures,): whether the answer is right, or how often, 0..1 ...
        theirs: ... and whether that of the other run or model is.
    """
    change = 100 * (np.asarray(ours, np.float64) - np.asarray(theirs, np.float64))
    return float(change.mean()), float(change.std() / np.sqrt(len(change)))
