"""What is converted: a bundle of ``toolkit train``, or somebody else's model that was made to look like one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from converters.bundle import (
    CALIBRATION_FILE,
    MODEL_FILE,
    TEST_IMAGES_FILE,
    TEST_SPLIT_FILE,
    ModelBundle,
    TestPictures,
)
from converters.formats.tflite import convert_float32
from converters.formats.tracing import traced_model
from runtime.errors import EdgeExportError, ModelError, first_line
from runtime.preprocess import normalize
from runtime.spec import SPEC_FILE_NAME, ModelSpec

_FILES = (MODEL_FILE, SPEC_FILE_NAME, CALIBRATION_FILE, TEST_IMAGES_FILE, TEST_SPLIT_FILE)


class Source(Protocol):
    """A model and the pictures to convert it with.

    Attributes:
        name: what people are told it is, a path as a rule.
        spec: its labels, preprocessing and task, also of a stranger's model.
    """

    name: str
    spec: ModelSpec

    def digests(self) -> Mapping[str, str]:
        """Of each file that the result depends on: name -> hex sha256."""

    def output_folder(self) -> Path:
        """Where the files go unless told otherwise."""

    def float32(self) -> bytes:
        """A ``.tflite`` file: normalised float32 (1, height, width, 3) -> scores, float32 (1, classes), 0..1.

        Raises:
            ModelError: it cannot be converted, and why.
        """

    def scores(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The answers of the model as it came.

        Args:
            images: (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.

        Returns:
            float32 (count, classes), 0..1.
        """

    def calibration_images(self) -> NDArray[Any]:
        """Pictures to quantise with, (count, height, width, 3), 0..255; none where there are none."""

    def check_pictures(self) -> TestPictures:
        """Pictures to check the files with; no row of ``truth`` where it is not known."""

    def traced(self, input_name: str, output_name: str) -> Any:
        """A ``tf.function`` with one signature: normalised float32 (any, height, width, 3) -> scores.

        Raises:
            ModelError: the model is not one of TensorFlow's.
        """

    def keras_model(self) -> Any | None:
        """The ``keras.Model``, where it is one."""


class BundleSource:
    """A bundle of ``toolkit train``."""

    def __init__(self, folder: Path) -> None:
        """Open it.

        Raises:
            UsageError: no such folder.
            ModelError: the folder is no bundle, or a file of it is missing or damaged.
        """
        self._bundle = ModelBundle.load(folder)
        self.spec = self._bundle.spec
        self.name = str(folder)
        self._model: Any = None

    def digests(self) -> Mapping[str, str]:
        """See ``Source``."""
        return sha256_of_files(self._bundle.folder, _FILES)

    def output_folder(self) -> Path:
        """``export`` in the bundle."""
        return self._bundle.export_folder

    def float32(self) -> bytes:
        """See ``Source``."""
        try:
            return convert_float32(self.keras_model())
        except EdgeExportError:
            raise
        except Exception as error:  # ConverterError and whatever else comes up in TensorFlow
            raise ModelError(f"TensorFlow cannot convert the model to float32: {first_line(error)}") from error

    def scores(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """See ``Source``."""
        model = self.keras_model()
        # Few at a time: Keras keeps every layer's output until the call ends.
        batches = [
            np.asarray(model([normalize(images[start : start + 4], self.spec.preprocessing)], training=False))
            for start in range(0, len(images), 4)
        ]
        return np.concatenate(batches) if batches else np.zeros((0, len(self.spec.labels)), np.float32)

    def calibration_images(self) -> NDArray[Any]:
        """See ``Source``."""
        return self._bundle.calibration_images()

    def check_pictures(self) -> TestPictures:
        """See ``ModelBundle.check_pictures``."""
        return self._bundle.check_pictures()[1]

    def traced(self, input_name: str, output_name: str) -> Any:
        """See ``Source``."""
        return traced_model(self.keras_model(), input_name=input_name, output_name=output_name)

    def keras_model(self) -> Any:
        """The trained model, checked to be the one that the spec describes."""
        if self._model is None:
            model = self._bundle.keras_model()
            self._check(model)
            self._model = model
        return self._model

    def _check(self, model: Any) -> None:
        pixels, labels = self.spec.preprocessing, self.spec.labels
        taken = [tuple(tensor.shape[1:]) for tensor in model.inputs]
        given = [tuple(tensor.shape[1:]) for tensor in model.outputs]
        if taken != [(pixels.height, pixels.width, 3)] or given != [(len(labels),)]:
            raise ModelError(
                f"{self._bundle.folder / MODEL_FILE} takes {taken} and gives {given}; its {SPEC_FILE_NAME} says one "
                f"picture of {(pixels.height, pixels.width, 3)} and {len(labels)} scores"
            )


def sha256_of_files(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Name -> hex sha256.

    Raises:
        ModelError: a file cannot be read.
    """
    try:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
