"""MobileNet v3 and Inception v3: built by Keras Applications, converted to TFLite once and kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.formats.tflite import convert_float32
from runtime.errors import ModelError
from toolkit.atomic import write_bytes
from toolkit.backbones.registry import Backbone


@dataclass(frozen=True)
class KerasBackbone(Backbone):
    """A backbone of ``keras.applications``, with the weights of a file or random ones."""

    weights: Path | None
    seed: int

    def tflite(self, cache_dir: Path) -> bytes:
        """Converted by TensorFlow (12-20 s) the first time, then read from the cache."""
        import keras

        version = hashlib.sha256(f"{self.digest} {keras.__version__}".encode()).hexdigest()[:16]
        path = cache_dir / "backbones" / f"{self.architecture.name}-{version}.tflite"
        if not path.is_file():
            write_bytes(path, convert_float32(self.keras_model()))
        return path.read_bytes()

    def keras_model(self) -> Any:
        """Built by Keras Applications without its classifier, with an average pool, then given the weights."""
        import keras

        keras.utils.set_random_seed(self.seed)
        size = self.architecture.input_size
        options: dict[str, Any] = {"include_top": False, "pooling": "avg", "input_shape": (size, size, 3)}
        options["weights"] = None
        if self.architecture.family == "mobilenet_v3":
            # By default Keras normalises inside the model; ours is normalised before it, once.
            variant = {"small": "MobileNetV3Small", "large": "MobileNetV3Large"}[self.architecture.variant or ""]
            model = getattr(keras.applications, variant)(include_preprocessing=False, **options)
        else:
            model = keras.applications.InceptionV3(**options)
        if self.weights is not None:
            self._load(model, self.weights)
        return model

    def _load(self, model: Any, path: Path) -> None:
        try:
            # A file with the classifier has more layers than the model: then they go by name.
            by_name = "no_top" not in path.name and "notop" not in path.name
            model.load_weights(path, by_name=by_name) if by_name else model.load_weights(path)
        except Exception as error:  # h5py and Keras raise whatever comes up in a damaged file
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"{path} does not fit {self.architecture.name}: {line}") from error
