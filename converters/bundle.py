"""The bundle: a folder with everything that a trained model is, so that converting needs nothing else.

::

    model.keras        the trained model, normalised float32 pictures in, class scores out
    spec.json          ``runtime.spec.ModelSpec``
    labels.txt         one label a line, for other programs
    calibration.npz    ``images``: uint8 training pictures, resized, for quantisation; ``digests``: of their files
    test_images.npz    ``images``: uint8 test pictures, resized, for checking an export
    test_split.json    path, labels, sha256 and scores of each test picture, in the order of test_images.npz
    metrics.json       accuracies and all other figures of the training
    features.npz       features of all pictures, from which ``toolkit train --from`` learns them again
    report.html        the same for people
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.kinds import KINDS, MIXED
from converters.tensorflow import import_tensorflow
from converters.whole_folder import LEFTOVER, clear_up, in_the_way, replace_folder, standing_still
from runtime.errors import DataError, ModelError, UsageError
from runtime.file_kind import shown
from runtime.files import SYSTEM_FILES
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec

MODEL_FILE = "model.keras"
LABELS_FILE = "labels.txt"
CALIBRATION_FILE = "calibration.npz"
TEST_IMAGES_FILE = "test_images.npz"
TEST_SPLIT_FILE = "test_split.json"
METRICS_FILE = "metrics.json"
#: ``toolkit.stored_features``; bundles of 0.2 and before have none.
FEATURES_FILE = "features.npz"
REPORT_PAGE = "report.html"
EXPORT_FOLDER = "export"
#: What ``toolkit convert`` keeps in its folder beside the files themselves.
REPORT_FILE = "export.json"
EXPORT_PAGE = "export.html"
SCRATCH_PREFIX = ".convert-"
_EXPORT_ENDINGS = tuple(f"_{kind}.tflite" for kind in (*KINDS, MIXED))
_FILES = (
    MODEL_FILE,
    SPEC_FILE_NAME,
    LABELS_FILE,
    CALIBRATION_FILE,
    TEST_IMAGES_FILE,
    TEST_SPLIT_FILE,
    METRICS_FILE,
)
_ARCHIVES = (MODEL_FILE, CALIBRATION_FILE, TEST_IMAGES_FILE)
_KNOWN_NAMES = {*SYSTEM_FILES, *_FILES, FEATURES_FILE, REPORT_PAGE, EXPORT_FOLDER}


@dataclass(frozen=True)
class TestPictures:
    """The pictures an export is checked with.

    Attributes:
        images: (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        truth: which labels each picture has, bool (count, classes).
        digests: hex sha256 of each picture's file.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    images: NDArray[Any]
    truth: NDArray[np.bool_]
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
            clear_up(folder)  # a training killed at the one wrong moment has left it under another name
        if not folder.is_dir():
            raise UsageError(f"no such model folder: {shown(folder)} (toolkit train writes one)")
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{shown(folder)} is not a model bundle of toolkit train: {', '.join(missing)} missing")
        return cls(folder, ModelSpec.from_json((folder / SPEC_FILE_NAME).read_bytes()))

    @property
    def export_folder(self) -> Path:
        """Where ``toolkit convert`` puts its files unless told otherwise."""
        return self.folder / EXPORT_FOLDER

    def is_sound(self) -> bool:
        """Whether the large files, all zip archives, have the checksums they were written with."""
        try:
            for name in (*_ARCHIVES, FEATURES_FILE):
                if name == FEATURES_FILE and not (self.folder / name).exists():
                    continue
                with zipfile.ZipFile(self.folder / name) as archive:
                    if archive.testzip() is not None:
                        return False
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError):
            return False
        return True

    def keras_model(self) -> Any:
        """The trained ``keras.Model``, loaded in safe mode: no code of the file is run.

        Raises:
            ModelError: damaged, or not a model that can be loaded safely.
        """
        import_tensorflow()
        import keras

        from converters.inputs.keras_errors import why_not_loaded
        from converters.inputs.keras_limits import check_zip

        check_zip(self.folder / MODEL_FILE)
        try:
            with quiet_stderr():
                return keras.saving.load_model(self.folder / MODEL_FILE, compile=False, safe_mode=True)
        except Exception as error:  # zip, JSON, HDF5 and Keras errors
            why = why_not_loaded(self.folder / MODEL_FILE, error)
            raise ModelError(f"cannot load {shown(self.folder / MODEL_FILE)}: {why}") from error

    def calibration_images(self) -> NDArray[Any]:
        """(count, height, width, 3), 0..255."""
        return _read_images(self.folder / CALIBRATION_FILE, self.spec)

    def calibration_digests(self) -> tuple[str, ...]:
        """Hex sha256 of the file of each calibration picture; none in bundles that do not say."""
        path = self.folder / CALIBRATION_FILE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if "digests" not in stored.files:
                    return ()
                return tuple(np.asarray(row, np.uint8).tobytes().hex() for row in stored["digests"])
        except Exception as error:  # see _read_images
            raise ModelError(f"{shown(path)} is damaged: {error}") from error

    def test_pictures(self) -> TestPictures:
        """The stored test pictures with their classes."""
        path = self.folder / TEST_SPLIT_FILE
        images = _read_images(self.folder / TEST_IMAGES_FILE, self.spec)
        try:
            entries = json.loads(path.read_bytes())["images"][: len(images)]
            truth = np.zeros((len(entries), len(self.spec.labels)), np.bool_)
            for row, entry in enumerate(entries):
                truth[row, entry["class_ids"] if "class_ids" in entry else [entry["class_id"]]] = True
            digests = tuple(str(entry["sha256"]) for entry in entries)
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise _damaged(path, error) from error
        if len(digests) != len(images):
            raise ModelError(f"{shown(path)} lists {len(digests)} pictures, {TEST_IMAGES_FILE} holds {len(images)}")
        return TestPictures(images, truth, digests)

    def check_pictures(self) -> tuple[Path, TestPictures]:
        """The pictures that exported files are checked with, and the file that holds them.

        The test pictures; calibration pictures, whose truth does not count, where there are none.

        Raises:
            ModelError: there are neither.
        """
        pictures = self.test_pictures()
        if len(pictures.images):
            return self.folder / TEST_IMAGES_FILE, pictures
        images = self.calibration_images()
        if not len(images):
            raise ModelError(f"{shown(self.folder / CALIBRATION_FILE)} holds no pictures to check the files with")
        return self.folder / CALIBRATION_FILE, TestPictures(images, pictures.truth, ())

    def trained_accuracy(self) -> dict[str, Any]:
        """The ``accuracy`` part of the metrics."""
        try:
            accuracy: dict[str, Any] = json.loads((self.folder / METRICS_FILE).read_bytes())["accuracy"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(self.folder / METRICS_FILE, error) from error
        return accuracy


def _damaged(path: Path, error: Exception) -> ModelError:
    """What is wrong with a file of JSON, in words."""
    if isinstance(error, OSError):
        return ModelError(f"cannot read {shown(path)}: {error.strerror or error}")
    is_json = not isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError))
    what = "it does not hold what toolkit train wrote there" if is_json else "it is no JSON"
    return ModelError(f"{shown(path)} is damaged: {what}; copy the bundle again, or train anew")


def _read_images(path: Path, spec: ModelSpec) -> NDArray[Any]:
    shape = (spec.preprocessing.height, spec.preprocessing.width, 3)
    try:
        # Opened here: numpy leaves a file that it cannot read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            images: NDArray[Any] = stored["images"]
    except Exception as error:  # OSError, zipfile.BadZipFile, ValueError, KeyError: all mean a damaged file
        raise ModelError(f"{shown(path)} is damaged: {error}") from error
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ModelError(f"{shown(path)} holds pictures of shape {images.shape[1:]}, the model takes {shape}")
    return images


def prepare_output_folder(folder: Path) -> None:
    """Make sure that writing a bundle here would replace nothing but a bundle; clear up after killed runs.

    Raises:
        UsageError: the folder is a file, is in use as the current folder, holds something else, or cannot be written.
    """
    clear_up(folder)
    try:
        with standing_still(folder):
            names = _of_others(folder)
    except OSError as error:
        raise UsageError(f"--output-dir {shown(folder)} cannot be used: {error.strerror or error}") from error
    if names:
        raise UsageError(
            f"--output-dir {shown(folder)} holds {shown(min(names))}, which is no part of a model and would be lost; "
            "name another folder"
        )


def _of_others(folder: Path) -> set[str]:
    """What a folder to be replaced holds that is no part of a bundle."""
    if reason := in_the_way(folder):
        raise UsageError(f"--output-dir {shown(folder)} cannot be used: {reason}")
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise UsageError(f"--output-dir {shown(folder)} is a file; name a folder")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(f"--output-dir {shown(folder)} is the current folder; name one that can be replaced")
    names = {path.name for path in folder.iterdir()} - _KNOWN_NAMES
    exports = folder / EXPORT_FOLDER
    if exports.is_dir():
        inside = {path.name for path in exports.iterdir()} - _listed(exports)
        names |= {f"{EXPORT_FOLDER}/{name}" for name in inside if not _is_export(name)}
    return names


def _listed(exports: Path) -> set[str]:
    """Names of the files of other formats that ``toolkit convert`` says it has put into its folder."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # no report, or not one of ours
        formats = json.loads((exports / REPORT_FILE).read_bytes())["formats"]
        return {str(part["file"]) for entry in formats for part in entry["files"]}
    return set()


def _is_export(name: str) -> bool:
    """Whether ``toolkit convert`` may have put a file of this name into its folder."""
    return (
        name in {REPORT_FILE, f".{REPORT_FILE}", EXPORT_PAGE, f".{EXPORT_PAGE}", *SYSTEM_FILES}
        or name.startswith(SCRATCH_PREFIX)
        or LEFTOVER in name  # of a process that was killed
        or name.endswith(_EXPORT_ENDINGS)
    )


def write_bundle(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write a bundle so that the folder holds the whole new one or what was there before.

    Args:
        folder: of the bundle; an older bundle in it is replaced, with its exports.
        fill: writes the files into the folder it is given.

    Raises:
        UsageError: see ``prepare_output_folder``.
        DataError: the folder cannot be written.
    """
    prepare_output_folder(folder)
    try:
        replace_folder(folder, fill)
    except OSError as error:
        raise DataError(f"cannot write the model to {shown(folder)}: {error.strerror or error}") from error
