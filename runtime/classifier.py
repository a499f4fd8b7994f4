"""A picture in, labels with scores out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.contract import ModelContract, Overrides, read_contract
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes, upright_rgb
from runtime.interpreter import LoadedModel
from runtime.preprocess import image_from_array, normalize, resize
from runtime.spec import Task

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Prediction:
    """One class's answer: id, label, and score in [0, 1]."""

    class_id: int
    label: str
    score: float


@dataclass(frozen=True)
class Stages:
    """Milliseconds that each stage of one answer took."""

    decode: float
    preprocess: float
    invoke: float


@dataclass(frozen=True)
class Classification:
    """The answer for one picture.

    Attributes:
        predictions: the best classes, best first; with a multi-label model all that hold are among them.
        labels: what the picture shows: one label, or none where the best score is too low for an answer
            (``unknown``); with a multi-label model all labels whose scores reach their thresholds.
        milliseconds: what it cost.
    """

    predictions: tuple[Prediction, ...]
    labels: tuple[str, ...]
    milliseconds: Stages

    @property
    def unknown(self) -> bool:
        """Whether the picture shows nothing that the model knows."""
        return not self.labels


class Classifier:
    """A ``.tflite`` picture classifier, ready to run; for one thread at a time.

    Attributes:
        contract: how the file is used.
        model: the loaded model.
    """

    def __init__(self, contract: ModelContract, model: LoadedModel) -> None:
        self.contract = contract
        self.model = model
        preprocessing = contract.preprocessing
        # 0 for uint8 and 128 for int8 where raw bytes go in; None where they must be normalised.
        self._byte_shift: int | None = model.input.byte_shift(preprocessing)
        if contract.normalization_from == "input type":
            self._byte_shift = 0 if model.input.dtype == np.uint8 else 128

    @classmethod
    def load(cls, path: str | Path, overrides: Overrides | None = None, threads: int | None = None) -> Classifier:
        """Open a model file.

        Args:
            path: of a ``.tflite`` file.
            overrides: labels, normalisation and resize filter that go before the file's own.
            threads: of the interpreter; None takes all processors, at most four.

        Raises:
            ModelError: the file is no picture classifier, or the interpreter refuses it.
            UsageError: nobody says how to normalise pixels.
        """
        contract = read_contract(Path(path), overrides)
        return cls(contract, LoadedModel(Path(path), threads))

    def classify(
        self, picture: str | Path | bytes | Image | NDArray[np.uint8], top_k: int = 5, threshold: float = 0.0
    ) -> Classification:
        """Classify one picture.

        Args:
            picture: path of a file; the bytes of one; a Pillow picture; or uint8 (height, width, 3), RGB.
            top_k: number of predictions at most; with a multi-label model there may be more, if more labels hold.
            threshold: least score of a prediction, 0..1.

        Raises:
            ImageError: the picture cannot be used.
            ModelError: the model fails.
        """
        started = time.perf_counter()
        image = self._decode(picture)
        decoded = time.perf_counter()
        tensor = self.tensor(resize(image, self.contract.preprocessing))
        preprocessed = time.perf_counter()
        scores = self._real_scores(self.model.run(tensor))
        ended = time.perf_counter()
        stages = Stages(*((b - a) * 1000 for a, b in _pairs(started, decoded, preprocessed, ended)))
        return Classification(self.rank(scores, top_k, threshold), self.answer(scores), stages)

    def scores(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Scores of a picture that is resized already.

        Args:
            pixels: (height, width, 3), 0..255, as ``preprocess.resize`` gives them.

        Returns:
            float32 (classes,), 0..1.
        """
        return self._real_scores(self.model.run(self.tensor(pixels)))

    def tensor(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Resized pixels, 0..255, as the model's input (1, height, width, 3) in its own dtype."""
        quantization = self.model.input
        if self._byte_shift is None:
            return quantization.quantize(normalize(pixels, self.contract.preprocessing))[None]
        whole = np.rint(pixels) if pixels.dtype != np.uint8 else pixels
        if self._byte_shift == 0:
            return whole.astype(np.uint8, copy=False)[None]
        return (whole.astype(np.int16) - self._byte_shift).astype(np.int8)[None]

    def rank(self, scores: NDArray[np.float32], top_k: int, threshold: float = 0.0) -> tuple[Prediction, ...]:
        """The best classes, best first; equal scores in the order of their ids."""
        return rank_scores(scores, self.contract.labels, top_k, threshold, self.answer(scores))

    def answer(self, scores: NDArray[np.float32]) -> tuple[str, ...]:
        """The labels that hold, best first; see ``Classification.labels``.

        Args:
            scores: float32 (classes,), as ``scores`` gives them.
        """
        return answered_labels(scores, self.contract.labels, self.contract.least_scores, self.contract.task)

    def _decode(self, picture: str | Path | bytes | Image | NDArray[np.uint8]) -> Image:
        if isinstance(picture, bytes):
            return decode_image(picture)
        if isinstance(picture, (str, Path)):
            return decode_image(read_image_bytes(Path(picture)), picture)
        if isinstance(picture, np.ndarray):
            return image_from_array(picture)
        return upright_rgb(picture)

    def _real_scores(self, output: NDArray[Any]) -> NDArray[np.float32]:
        """Dequantised, and made probabilities where the model ends in logits."""
        real = self.model.output.dequantize(output)
        if not np.isfinite(real).all():
            raise ModelError(f"{shown(self.contract.file.path)}: the model gives scores that are no numbers")
        known = self.contract.gives_probabilities
        if known is None:  # a model whose last step we cannot name: judge by the numbers
            known = bool(real.min() >= 0 and real.max() <= 1.001)
        if not known:
            exponentials = np.exp(real - real.max())
            real = exponentials / exponentials.sum()
        return np.clip(real, 0.0, 1.0)


def rank_scores(
    scores: NDArray[np.float32],
    labels: Sequence[str],
    top_k: int,
    threshold: float = 0.0,
    holding: Sequence[str] = (),
) -> tuple[Prediction, ...]:
    """The best classes, best first; equal scores in the order of their ids.

    Args:
        scores: float32 (classes,), 0..1.
        labels: of the classes.
        top_k: number of predictions; 0 gives none.
        threshold: least score of a prediction, 0..1.
        holding: labels that hold; where there are several, none is left out for ``top_k``.
    """
    order = np.argsort(-scores, kind="stable") if top_k > 0 else np.zeros(0, np.int64)
    kept = [i for place, i in enumerate(order) if place < top_k or labels[i] in holding]
    return tuple(Prediction(int(i), labels[i], float(scores[i])) for i in kept if float(scores[i]) >= threshold)


def answered_labels(
    scores: NDArray[np.float32], labels: Sequence[str], least: Sequence[float], task: Task
) -> tuple[str, ...]:
    """The labels that hold, best first; see ``Classification.labels``.

    Args:
        scores: float32 (classes,), 0..1.
        labels: of the classes.
        least: the score from which on each class counts as an answer, 0..1.
        task: with ``single-label`` only the best class can hold.
    """
    order = np.argsort(-scores, kind="stable")
    if task == "single-label":
        order = order[:1]
    return tuple(labels[i] for i in order if float(scores[i]) >= least[i])


def _pairs(*moments: float) -> list[tuple[float, float]]:
    return list(zip(moments, moments[1:], strict=False))
