"""Somebody else's model as a source of conversions: what ``converters.source.Source`` asks for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import TestPictures
from converters.inputs.pictures import Pictures
from converters.inputs.predictor import Predictor
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.spec import LabelList, ModelSpec

# What our own exports end in, so that their names do not grow with each conversion.
_KINDS = re.compile(r"_(float32|float16|dynamic|int8|int16x8)$")
_SAVED_MODEL = ("saved_model.pb", "variables/*", "assets.extra/*")
_BLOCK = 1 << 20


class ForeignSource:
    """What all foreign models have in common.

    Args:
        path: of the file, or of the folder of a SavedModel.
        predictor: the opened model.
        pictures: to convert it with.
        extra: label files and the like that the result depends on.
        spec: what it is.

    Attributes:
        name: its path, for people.
        spec: labels, preprocessing and task.
    """

    def __init__(
        self, path: Path, predictor: Predictor, pictures: Pictures, extra: Sequence[Path], spec: ModelSpec
    ) -> None:
        self.name, self.spec = shown(path), spec
        self._path, self._predictor, self._pictures, self._extra = path, predictor, pictures, extra

    def digests(self) -> Mapping[str, str]:
        """Hex sha256 of the model's files, of a label file, of the pictures' choice, and of the spec."""
        found = {path.relative_to(self._path.parent).as_posix(): sha256_of(path) for path in model_files(self._path)}
        found |= {f"labels {path.name}": sha256_of(path) for path in self._extra}
        if self._pictures.digest:
            found["calibration pictures"] = self._pictures.digest
        # Size, mean, std and labels, which may be somebody's word and stand in no file.
        return found | {"specification": hashlib.sha256(self.spec.to_json().encode()).hexdigest()}

    def output_folder(self) -> Path:
        """A folder of its own beside the model: ``NAME_export``."""
        path = _named(self._path)
        return path.parent / f"{name_of(path)}_export"

    def calibration_images(self) -> NDArray[Any]:
        """Pictures to quantise with, (count, height, width, 3), 0..255; none without ``--calibration-dir``."""
        return self._pictures.calibration

    def check_pictures(self) -> TestPictures:
        """Other pictures; generated ones without ``--calibration-dir``."""
        return self._pictures.check

    def scores(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The answers of the model as it came, float32 (count, classes), 0..1.

        Args:
            images: (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        """
        rows = [self._predictor.scores(image) for image in images]
        return np.stack(rows) if rows else np.zeros((0, len(self.spec.labels)), np.float32)

    def keras_model(self) -> Any | None:
        """None: it is no ``keras.Model``."""
        return None

    def traced(self, input_name: str, output_name: str) -> Any:
        """Refused.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"{self.name} is a .tflite file, of which no TensorFlow format can be made; give the model it was "
            "converted from"
        )


def foreign_spec(path: Path, predictor: Predictor) -> ModelSpec:
    """What a model is: its own spec with what the user says, else all that was found out."""
    labels = LabelList(_told_apart(predictor.labels))
    if predictor.spec is not None:
        return replace(predictor.spec, preprocessing=predictor.preprocessing, labels=labels)
    return ModelSpec(
        name=name_of(path),
        backbone=f"network of {_named(path).name.encode(errors='replace').decode()}",
        task=predictor.task,
        preprocessing=predictor.preprocessing,
        labels=labels,
    )


def name_of(path: Path) -> str:
    """What files made from it are called: its own name without what says its kind."""
    path = _named(path)
    stem = path.name if path.is_dir() else path.stem
    return _KINDS.sub("", stem) or "model"


def _named(path: Path) -> Path:
    """The path with the folder's own name, where it is called ``.`` or ``..``."""
    return path if path.name not in ("", "..") else path.resolve()


def model_files(path: Path) -> list[Path]:
    """The file; of a SavedModel its graph and its variables."""
    if not path.is_dir():
        return [path]
    return sorted(
        file for pattern in ("saved_model.pb", "variables/*", "assets.extra/*") for file in path.glob(pattern)
    )


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file.

    Raises:
        ModelError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise ModelError(f"cannot read {shown(path)}: {error.strerror or error}") from error
    return digest.hexdigest()


def _told_apart(labels: Sequence[str]) -> tuple[str, ...]:
    """Labels with the class id behind those that others have too, or where there is none: two cranes, empty lines."""
    twice = {label for label in labels if labels.count(label) > 1} if len(set(labels)) < len(labels) else set()
    named = []
    for class_id, label in enumerate(labels):
        text = label or "class"
        named.append(f"{text} ({class_id})" if label in twice or not label else text)
    return tuple(named)
