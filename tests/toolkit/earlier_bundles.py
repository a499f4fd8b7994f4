"""Bundles to go on from, and what their tests ask of them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from converters.bundle import FEATURES_FILE, ModelBundle
from tests.toolkit.pictures import make_classes
from toolkit.options import TrainOptions
from toolkit.stored_features import StoredFeatures
from toolkit.train import train

#: The shapes that the fixture ``first`` knows, and the others.
OLD, NEW = ("plus", "square"), ("circle", "triangle")
SMALL = "mobilenet_0.25_128"


def pick(shapes: Path, folder: Path, *labels: str) -> Path:
    """A folder with these of the drawn shapes."""
    for label in labels:
        shutil.copytree(shapes / label, folder / label)
    return folder


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}


def stored(folder: Path) -> StoredFeatures:
    """What a bundle keeps of its pictures."""
    bundle = ModelBundle.load(folder)
    width = 1024 if bundle.spec.backbone == "mobilenet_1.00_224" else 256
    found = StoredFeatures.read(folder, len(bundle.spec.labels), width)
    assert found is not None
    return found


def forget_signatures(folder: Path) -> None:
    """Make features.npz what older versions wrote."""
    with np.load(folder / FEATURES_FILE) as stored:
        arrays = {name: stored[name] for name in stored.files if name not in ("signatures", "spreads")}
    np.savez(folder / FEATURES_FILE, **arrays)


def small(tmp_path: Path, cache_dir: Path, counts: dict[str, int], **options: Any) -> Path:
    """A bundle of a small random network."""
    root = make_classes(tmp_path / "old", counts)
    options = {"architecture": SMALL, "weights": "none"} | options
    given = TrainOptions(tmp_path / "model", cache_dir=cache_dir, **options)
    train(root, given)
    return tmp_path / "model"
