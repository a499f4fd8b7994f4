"""A backbone with its weights, as TFLite for features and as Keras for the model that is handed over."""

from __future__ import annotations

import hashlib
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from toolkit.backbones.catalog import Architecture
from toolkit.backbones.keras_body import KerasBody, layered_body
from toolkit.backbones.keras_graph import build_backbone
from toolkit.backbones.layers import ConvLayer, is_layered, layers_of
from toolkit.backbones.pooling import Pooling
from toolkit.backbones.tflite_graph import write_backbone
from toolkit.backbones.weight_readers import Arrays, random_weights, read_weights
from toolkit.backbones.weights import obtain_weights

WeightChoice = Literal["imagenet", "none"]
# What the origin of weights says that were trained here.
_FURTHER = ", trained further"


@dataclass(frozen=True)
class Backbone(ABC):
    """A frozen feature extractor.

    Attributes:
        architecture: what it is.
        origin: where its weights come from, for people.
        digest: hex sha256 that changes with the weights.
    """

    architecture: Architecture
    origin: str
    digest: str

    @abstractmethod
    def tflite(self, cache_dir: Path) -> bytes:
        """A float32 TFLite model: (1, size, size, 3) -> (1, feature_count)."""

    @abstractmethod
    def keras_model(self) -> Any:
        """The same as a functional ``keras.Model``, batched."""

    def keras_body(self, _cache_dir: Path) -> KerasBody:
        """The same as the parts of a ``.keras`` file; by Keras, unless a subclass knows a quicker way."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "body.keras"
            self.keras_model().save(path)
            return KerasBody.read(path)

    @property
    def was_trained(self) -> bool:
        """Whether its weights were trained on pictures of a user, now or before."""
        return _FURTHER in self.origin

    @property
    def trained_origin(self) -> str:
        """The origin of weights that were trained from these; said once, however often they were."""
        return f"{self.origin.removesuffix(_FURTHER)}{_FURTHER}"

    @abstractmethod
    def with_weights(self, weights: Arrays, origin: str) -> Backbone:
        """The same architecture with other weights, and a digest of its own.

        Args:
            weights: all of them; names and shapes as training found them in this backbone.
            origin: where they come from, for people.
        """


@dataclass(frozen=True)
class LayeredBackbone(Backbone):
    """MobileNet v1, v2 or EfficientNet-Lite: written as TFLite directly, no conversion."""

    weights: Arrays

    @property
    def _parts(self) -> tuple[tuple[ConvLayer, ...], Arrays, int, Pooling]:
        architecture = self.architecture
        return layers_of(architecture), self.weights, architecture.input_size, architecture.pooling

    def tflite(self, cache_dir: Path) -> bytes:
        """Written from the layers in milliseconds; nothing is cached."""
        return write_backbone(*self._parts)

    def keras_model(self) -> Any:
        """Built from the layers."""
        return build_backbone(*self._parts)

    def keras_body(self, _cache_dir: Path) -> KerasBody:
        """Written from the layers, without Keras; nothing is cached."""
        return layered_body(*self._parts)

    def with_weights(self, weights: Arrays, origin: str) -> LayeredBackbone:
        """See ``Backbone``."""
        return replace(self, weights=weights, origin=origin, digest=digest_of(weights))


def load_backbone(
    architecture: Architecture,
    *,
    weights: WeightChoice = "imagenet",
    model_dir: Path | None = None,
    cache_dir: Path,
    seed: int = 0,
) -> Backbone:
    """Find, fetch if need be, and read a backbone's weights.

    Args:
        architecture: from ``find_architecture``.
        weights: ``imagenet``, or ``none`` for random ones drawn from ``seed``.
        model_dir: a folder of weight files that goes before all other places.
        cache_dir: of the toolkit.
        seed: of random weights.

    Raises:
        MissingPackageError: weights or TensorFlow are not installed.
        DataError: weights cannot be had or read.
    """
    if weights == "none":
        origin = f"random, seed {seed}"
        if is_layered(architecture):
            arrays = random_weights(layers_of(architecture), seed)
            return LayeredBackbone(architecture, origin, digest_of(arrays), arrays)
        from toolkit.backbones.keras_applications import KerasBackbone

        digest = hashlib.sha256(f"random He-normal {architecture.name} {seed}".encode()).hexdigest()
        return KerasBackbone(architecture, origin, digest, None, seed)
    source = obtain_weights(architecture, model_dir, cache_dir)
    if source.path is None:
        raise AssertionError("obtain_weights returns a path or raises")
    if is_layered(architecture):
        arrays = read_weights(source.path, layers_of(architecture))
        return LayeredBackbone(architecture, str(source), digest_of(arrays), arrays)
    from toolkit.backbones.keras_applications import KerasBackbone

    digest = hashlib.sha256(source.path.read_bytes()).hexdigest()
    return KerasBackbone(architecture, str(source), digest, source.path, seed)


def digest_of(arrays: Arrays) -> str:
    """Hex sha256 over names and contents."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
