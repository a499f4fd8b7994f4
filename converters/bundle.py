"""The bundle: a folder with everything that a trained model is, so that converting needs nothing else.

::

    model.keras        the trained model, normalised float32 pictures in, class scores out
    spec.json          ``runtime.spec.ModelSpec``
    labels.txt         one label a line, for other programs
    calibration.npz    ``images``: uint8 training pictures, resized, for quantisation
    test_images.npz    ``images``: uint8 test pictures, resized, for checking an export
    test_split.json    path, class, sha256 and scores of each test picture, in the order of test_images.npz
    metrics.json       accuracies and the options of the training
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tensorflow import import_tensorflow
from runtime.errors import DataError, ModelError, UsageError
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec

MODEL_FILE = "model.keras"
LABELS_FILE = "labels.txt"
CALIBRATION_FILE = "calibration.npz"
TEST_IMAGES_FILE = "test_images.npz"
TEST_SPLIT_FILE = "test_split.json"
METRICS_FILE = "metrics.json"
EXPORT_FOLDER = "export"
_FILES = (
    MODEL_FILE,
    SPEC_FILE_NAME,
    LABELS_FILE,
    CALIBRATION_FILE,
    TEST_IMAGES_FILE,
    TEST_SPLIT_FILE,
    METRICS_FILE,
)


@dataclass(frozen=True)
class TestPictures:
    """The pictures an export is checked with.

    Attributes:
        images: (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        class_ids: int64 (count,).
        digests: hex sha256 of each picture's file.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    images: NDArray[Any]
    class_ids: NDArray[np.int64]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class ModelBundle:
    """A trained model's folder, checked to be whole."""

    folder: Path
    spec: ModelSpec

    @classmethod
    def load(cls, folder: Path) -> ModelBundle:
        """Open a bundle.

        Raises:
            UsageError: no such folder.
            ModelError: the folder is no bundle, or a file of it is missing or damaged.
        """
        if not folder.is_dir():
            raise UsageError(f"no such model folder: {folder} (toolkit train writes one)")
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} is not a model bundle of toolkit train: {', '.join(missing)} missing")
        return cls(folder, ModelSpec.from_json((folder / SPEC_FILE_NAME).read_bytes()))

    @property
    def export_folder(self) -> Path:
        """Where ``toolkit convert`` puts its files unless told otherwise."""
        return self.folder / EXPORT_FOLDER

    def keras_model(self) -> Any:
        """The trained ``keras.Model``, loaded in safe mode: no code of the file is run.

        Raises:
            ModelError: damaged, or not a model that can be loaded safely.
        """
        import_tensorflow()
        import keras

        try:
            with quiet_stderr():
                return keras.saving.load_model(self.folder / MODEL_FILE, compile=False, safe_mode=True)
        except Exception as error:  # zip, JSON, HDF5 and Keras errors
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"cannot load {self.folder / MODEL_FILE}: {line}") from error

    def calibration_images(self) -> NDArray[Any]:
        """(count, height, width, 3), 0..255."""
        return _read_images(self.folder / CALIBRATION_FILE, self.spec)

    def test_pictures(self) -> TestPictures:
        """The stored test pictures with their classes."""
        path = self.folder / TEST_SPLIT_FILE
        images = _read_images(self.folder / TEST_IMAGES_FILE, self.spec)
        try:
            entries = json.loads(path.read_bytes())["images"][: len(images)]
            class_ids = np.array([entry["class_id"] for entry in entries], np.int64)
            digests = tuple(str(entry["sha256"]) for entry in entries)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} is damaged: {error!r}") from error
        if len(digests) != len(images):
            raise ModelError(f"{path} lists {len(digests)} pictures, {TEST_IMAGES_FILE} holds {len(images)}")
        return TestPictures(images, class_ids, digests)

    def trained_accuracy(self) -> dict[str, Any]:
        """The ``accuracy`` part of the metrics."""
        try:
            accuracy: dict[str, Any] = json.loads((self.folder / METRICS_FILE).read_bytes())["accuracy"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.folder / METRICS_FILE} is damaged: {error!r}") from error
        return accuracy


def _read_images(path: Path, spec: ModelSpec) -> NDArray[Any]:
    shape = (spec.preprocessing.height, spec.preprocessing.width, 3)
    try:
        with np.load(path, allow_pickle=False) as stored:
            images: NDArray[Any] = stored["images"]
    except Exception as error:  # OSError, zipfile.BadZipFile, ValueError, KeyError: all mean a damaged file
        raise ModelError(f"{path} is damaged: {error}") from error
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ModelError(f"{path} holds pictures of shape {images.shape[1:]}, the model takes {shape}")
    return images


def check_output_folder(folder: Path) -> None:
    """Make sure that writing a bundle here would replace nothing but a bundle.

    Raises:
        UsageError: the folder is a file, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output-dir {folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SPEC_FILE_NAME).is_file():
        raise UsageError(f"--output-dir {folder} holds other files and is no model bundle; name another folder")


def write_bundle(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write a bundle so that the folder holds the whole new one or what was there before.

    Args:
        folder: of the bundle; an older bundle in it is replaced with everything in it.
        fill: writes the files into the folder it is given.

    Raises:
        UsageError: see ``check_output_folder``.
        DataError: the folder cannot be written.
    """
    check_output_folder(folder)
    folder = folder.resolve()
    staging = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
        staging.chmod(0o755)
        fill(staging)
        if folder.exists():
            retired = staging.with_name(staging.name.replace(".new-", ".old-"))
            folder.replace(retired)
            staging.replace(folder)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            staging.replace(folder)
    except OSError as error:
        raise DataError(f"cannot write the model to {folder}: {error.strerror or error}") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
