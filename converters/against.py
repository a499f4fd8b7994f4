"""What an exported file is verified against at a later time: a bundle's trained model, or pictures alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.bundle import EXPORT_FOLDER, MODEL_FILE, ModelBundle
from converters.source import BundleSource
from runtime.file_kind import shown
from runtime.spec import SPEC_FILE_NAME, ModelSpec


@dataclass(frozen=True)
class Against:
    """What a file is verified against.

    Attributes:
        described: in a few words.
        images: ``.npz`` file with the pictures, resized.
        truth: bool (count, classes); no rows where it is not known.
        digests: hex sha256 of the pictures' files; none where they are not known.
        scores: of the trained model, float32 (count, classes); None where there is no trained model.
        spec: of the trained model; None where there is none.
    """

    described: str
    images: Path
    truth: NDArray[np.bool_]
    digests: tuple[str, ...]
    scores: NDArray[np.float32] | None = None
    spec: ModelSpec | None = None


def _ignore(_message: str) -> None:
    pass


def against_bundle(folder: Path, notify: Callable[[str], None] = _ignore) -> Against:
    """The trained model's answers on the bundle's own pictures, computed anew.

    Raises:
        UsageError: no such folder.
        ModelError: no bundle, or a damaged one.
    """
    bundle = ModelBundle.load(folder)
    path, pictures = bundle.check_pictures()
    notify("Running the trained model")
    scores = BundleSource(folder).scores(pictures.images)
    described = f"the bundle {shown(folder)}"
    return Against(described, path, pictures.truth, pictures.digests, scores, bundle.spec)


def bundle_of(folder: Path) -> Path | None:
    """The bundle that a folder is, or whose exports it holds; None where it is something else."""
    candidates = [folder, folder.absolute().parent] if folder.absolute().name == EXPORT_FOLDER else [folder]
    for candidate in candidates:
        if (candidate / SPEC_FILE_NAME).is_file() or (candidate / MODEL_FILE).is_file():
            return candidate
    return None
