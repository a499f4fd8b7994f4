"""The ``.tflite`` file that is run for a bundle or a model file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from converters.bundle import MODEL_FILE, ModelBundle
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.report import export_key
from converters.source import BundleSource
from converters.up_to_date import up_to_date
from runtime.errors import ModelError, UsageError
from runtime.file_kind import shown
from runtime.spec import SPEC_FILE_NAME
from toolkit.kept_file import kept_file


@dataclass(frozen=True)
class RunnableModel:
    """A ``.tflite`` file, and in words what it is of the model that was named."""

    path: Path
    description: str


def runnable_model(model: Path, cache_dir: Path, notify: Callable[[str], None]) -> RunnableModel:
    """A file as it is; of a bundle its float32 export, where that is up to date, or one made for the purpose.

    The float32 file gives the trained model's scores to six digits, runs several times as fast as Keras on the
    same cores, and needs no TensorFlow. What is made here is kept in the cache; the bundle stays as it is.

    Args:
        model: a ``.tflite`` file or a bundle.
        cache_dir: of the toolkit.
        notify: is told in one line when something takes long.

    Raises:
        UsageError: no such file or folder.
        ModelError: a folder that is no bundle, or a damaged one.
        MissingPackageError: TensorFlow is needed and not installed.
        DataError: the cache cannot be written.
    """
    if not model.exists():
        raise UsageError(f"{shown(model)}: no such file or folder; name a .tflite file or a folder of toolkit train")
    if not model.is_dir():
        return RunnableModel(model, "the file itself")
    bundle = ModelBundle.load(model)
    source = BundleSource(model)
    report = up_to_date(bundle.export_folder, export_key(source.digests()), ConvertOptions())
    for entry in report["files"] if report else ():
        if entry["kind"] == "float32":
            return RunnableModel(bundle.export_folder / entry["file"], "the bundle's float32 export")
    path = cache_dir / "evaluated" / f"{_key(bundle)}.tflite"

    def make() -> bytes:
        notify("Converting the trained model to float32, once (toolkit convert makes this needless)")
        return add_metadata(source.float32(), bundle.spec)

    kept_file(path, make)
    return RunnableModel(path, "the bundle's trained model as float32, made for this and kept in the cache")


def _key(bundle: ModelBundle) -> str:
    digest = hashlib.sha256(b"edge-export-toolkit evaluated 1")
    for name in (MODEL_FILE, SPEC_FILE_NAME):
        try:
            digest.update(hashlib.sha256((bundle.folder / name).read_bytes()).digest())
        except OSError as error:
            raise ModelError(f"cannot read {shown(bundle.folder / name)}: {error.strerror or error}") from error
    return digest.hexdigest()[:32]
