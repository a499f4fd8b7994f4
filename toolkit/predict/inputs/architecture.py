"""An ImageNet network by its name: features by TFLite, classes by numpy; TensorFlow is not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from converters.inputs.hints import Hints
from converters.inputs.imagenet_labels import imagenet_labels
from converters.inputs.predictor import Floats, Notify, Predictor
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.classifier_weights import load_imagenet_network
from toolkit.folders import default_cache_dir


def load(
    architecture_name: str, model_dir: Path | None, cache_dir: Path | None, hints: Hints, notify: Notify
) -> Predictor:
    """Find the weights and build the network; nothing is trained or downloaded.

    Raises:
        UsageError: no such architecture; its classifier is not here; hints that have no place.
        ModelError: a weight file that does not fit.
        MissingPackageError: the weights come in a package that is not installed.
    """
    hints.refuse(frozenset({"resample"}), "--architecture, which has its own preprocessing and labels")
    architecture = find_architecture(architecture_name)
    cache_dir = cache_dir or default_cache_dir()
    network = load_imagenet_network(architecture, model_dir, cache_dir)
    with quiet_stderr():
        model = LoadedModel(network.backbone.tflite(cache_dir))
    # The whole picture, stretched: as in training here, and as label_image.py did it.
    preprocessing = Preprocessing(
        architecture.input_size,
        architecture.input_size,
        resample=hints.resample or "bilinear",
        mean=(architecture.mean,) * 3,
        std=(architecture.std,) * 3,
    )

    def scores(pixels: NDArray[Any]) -> Floats:
        return network.scores(model.run(normalize(pixels, preprocessing)[None]))

    notify(f"model: {architecture.name}, ImageNet's 1000 classes; weights {network.backbone.origin}")
    return Predictor(f"{architecture.name}, ImageNet", preprocessing, imagenet_labels(), scores)
