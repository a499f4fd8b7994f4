"""MobileNet v3 and Inception v3: built by Keras Applications, converted to TFLite once and kept."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from converters.atomic import write_bytes
from converters.formats.tflite import convert_float32
from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError, first_line
from runtime.file_kind import shown
from toolkit.backbones.keras_body import KerasBody
from toolkit.backbones.keras_graph import pool
from toolkit.backbones.registry import Backbone, digest_of
from toolkit.backbones.weight_readers import Arrays, random_kernel
from toolkit.kept_file import kept_file


@dataclass(frozen=True)
class KerasBackbone(Backbone):
    """A backbone of ``keras.applications``.

    Attributes:
        weights: file with its weights; None for random ones.
        seed: of random weights.
        tuned: weights that go before those, as ``variables_of`` names them; empty for none.
    """

    weights: Path | None
    seed: int
    tuned: Arrays = field(default_factory=dict)

    def tflite(self, cache_dir: Path) -> bytes:
        """Converted by TensorFlow (12-20 s) the first time, then read from the cache; a damaged file is made anew."""
        return kept_file(self._cached(cache_dir, ".tflite"), lambda: convert_float32(self.keras_model()))

    def keras_body(self, cache_dir: Path) -> KerasBody:
        """Saved by Keras the first time, then read from the cache; a damaged file is made anew."""
        path = self._cached(cache_dir, ".keras")
        if path.is_file():
            with suppress(ModelError):
                return KerasBody.read(path)
        with tempfile.TemporaryDirectory() as folder:
            saved = Path(folder) / path.name
            self.keras_model().save(saved)
            write_bytes(path, saved.read_bytes())
        return KerasBody.read(path)

    def _cached(self, cache_dir: Path, suffix: str) -> Path:
        pooling = "" if self.architecture.pooling == "avg" else f" {self.architecture.pooling}"
        named = f"{self.digest} {version('keras')} {self.architecture.input_size}{pooling}"
        key = hashlib.sha256(named.encode()).hexdigest()[:16]
        return cache_dir / "backbones" / f"{self.architecture.name}-{key}{suffix}"

    def keras_model(self) -> Any:
        """Built by Keras Applications without its classifier, with a pool, then given the weights."""
        import_tensorflow()
        import keras

        keras.utils.set_random_seed(self.seed)
        model = self._build(include_top=False)
        if self.tuned:
            for name, variable in variables_of(model).items():
                variable.assign(self.tuned[name])
        elif self.weights is not None:
            self._load(model, self.weights)
        else:
            _draw_kernels(model, self.seed)
        features = pool(model.outputs[0], self.architecture.pooling)
        return keras.Model(model.inputs, features)  # inputs as a list, like all models here

    def with_weights(self, weights: Arrays, origin: str) -> KerasBackbone:
        """See ``Backbone``."""
        return replace(self, tuned=weights, origin=origin, digest=digest_of(weights))

    def _build(self, **options: Any) -> Any:
        import keras

        size = self.architecture.input_size
        options |= {"weights": None, "input_shape": (size, size, 3)}
        if self.architecture.family == "mobilenet_v3":
            # By default Keras normalises inside the model; ours is normalised before it, once.
            variant = {"small": "MobileNetV3Small", "large": "MobileNetV3Large"}[self.architecture.variant or ""]
            return getattr(keras.applications, variant)(include_preprocessing=False, **options)
        return keras.applications.InceptionV3(**options)

    def _load(self, model: Any, path: Path) -> None:
        try:
            if "no_top" in path.name or "notop" in path.name:
                model.load_weights(path)
                return
            # A file with the classifier fits the whole network, whose first weights are the backbone's.
            whole = self._build(include_top=True, classes=1000)
            whole.load_weights(path)
            model.set_weights(whole.get_weights()[: len(model.weights)])
        except Exception as error:  # h5py and Keras raise whatever comes up in a damaged file
            raise ModelError(f"{shown(path)} does not fit {self.architecture.name}: {first_line(error)}") from error


def _draw_kernels(model: Any, seed: int) -> None:
    """Kernels of ``random_kernel``.

    Keras takes a depthwise kernel for one that sums over all channels, and draws it too small by the square root of
    their number: behind the fifteen of MobileNet v3 every feature was below 1e-9, and no integer file could hold it.
    """
    random = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            if variable.name == "kernel":
                depthwise = type(layer).__name__ == "DepthwiseConv2D"
                variable.assign(random_kernel(random, variable.shape, depthwise))


def variables_of(model: Any) -> dict[str, Any]:
    """All variables of a Keras model, named by their place: the numbers in Keras's own names differ between models."""
    variables = [variable for layer in model.layers for variable in layer.weights]
    return {f"{place:04d}/{variable.name}": variable for place, variable in enumerate(variables)}
