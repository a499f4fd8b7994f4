"""The part of an ImageNet network that training throws away: from features to the 1000 classes.

It is small (1 to 2 million numbers), so it is computed with numpy behind the backbone's TFLite file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError, UsageError
from runtime.file_kind import shown
from toolkit.backbones.catalog import Architecture
from toolkit.backbones.keras_applications import KerasBackbone
from toolkit.backbones.layers import is_layered, layers_of
from toolkit.backbones.registry import Backbone, LayeredBackbone
from toolkit.backbones.torch_weights import read_state_dict
from toolkit.backbones.weight_readers import Arrays, read_keras_h5, read_weights
from toolkit.backbones.weights import bundled_path, obtain_weights
from toolkit.head import Layer

#: Classes of ImageNet-1k.
CLASSES = 1000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ImageNetNetwork:
    """A network with its ImageNet classifier.

    Attributes:
        backbone: picture to features.
        layers: features to logits; between two of them stands MobileNet v3's hard swish.
    """

    backbone: Backbone
    layers: tuple[Layer, ...]

    def scores(self, features: Floats) -> Floats:
        """Probabilities, float32 (1000,), of features, float32 (features,)."""
        values: NDArray[Any] = features
        for number, layer in enumerate(self.layers):
            if number:  # x * relu6(x + 3) / 6, arXiv 1905.02244 section 5.2
                values = values * np.clip(values + 3, 0, 6) / 6
            values = values @ layer.kernel + layer.bias
        exponentials = np.exp(values - values.max())
        scores: Floats = (exponentials / exponentials.sum()).astype(np.float32)
        return scores


def load_imagenet_network(architecture: Architecture, model_dir: Path | None, cache_dir: Path) -> ImageNetNetwork:
    """Find and read a backbone and its classifier, both out of one file; nothing is downloaded.

    Args:
        architecture: from ``find_architecture``.
        model_dir: a folder with the file that Keras gives the whole network; it goes before all other places.
        cache_dir: of the toolkit, for backbones that need a conversion.

    Raises:
        UsageError: the classifier is not here, or ``model_dir`` is no folder.
        MissingPackageError: the weights come in a package that is not installed.
        ModelError: a file that does not fit the architecture.
    """
    if model_dir is not None and not model_dir.is_dir():
        raise UsageError(f"--model-dir {shown(model_dir)}: no such folder")
    if model_dir is not None and (model_dir / with_top_name(architecture)).is_file():
        path = model_dir / with_top_name(architecture)
        return ImageNetNetwork(_backbone(architecture, path, f"from {shown(path)}"), _from_keras(architecture, path))
    if not architecture.weights.bundled and architecture.weights.package is None:
        raise UsageError(
            f"the ImageNet classifier of {architecture.name} is not here: name with --model-dir the folder that holds "
            f"Keras's file {with_top_name(architecture)}; mobilenet_1.00_224 and efficientnet_lite0 need none"
        )
    source = obtain_weights(architecture, None, cache_dir)
    if source.path is None:
        raise AssertionError("obtain_weights returns a path or raises")
    backbone = _backbone(architecture, source.path, str(source))
    if architecture.weights.bundled:
        return ImageNetNetwork(backbone, (_bundled(architecture),))
    tensors = read_state_dict(source.path)
    return ImageNetNetwork(backbone, (Layer(tensors["_fc.weight"].T, tensors["_fc.bias"]),))


def with_top_name(architecture: Architecture) -> str:
    """The name that Keras gives the file of the whole network, classifier included.

    Source: ``keras/src/applications``; MobileNet v3's file without the classifier has a second version, the one
    with it has none.
    """
    name = architecture.weights.file_name
    for ending in ("_no_top_v2", "_no_top", "_notop"):
        name = name.replace(ending, "")
    return name


def _backbone(architecture: Architecture, path: Path, origin: str) -> Backbone:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if is_layered(architecture):
        return LayeredBackbone(architecture, origin, digest, read_weights(path, layers_of(architecture)))
    return KerasBackbone(architecture, origin, digest, path, 0)


def _bundled(architecture: Architecture) -> Layer:
    path = bundled_path(architecture)
    with np.load(path.with_name(f"{path.stem}_classifier.npz"), allow_pickle=False) as stored:
        return Layer(stored["kernel"].astype(np.float32), stored["bias"])


def _from_keras(architecture: Architecture, path: Path) -> tuple[Layer, ...]:
    """The last layer with 1000 outputs, and, where features do not reach it directly, the one before."""
    dense = _biased_layers(read_keras_h5(path))
    if not dense or dense[-1].kernel.shape[1] != CLASSES:
        raise ModelError(f"{shown(path)} does not fit {architecture.name}: its last layer has not {CLASSES} outputs")
    count = 1 if dense[-1].kernel.shape[0] == architecture.feature_count else 2
    layers = tuple(dense[-count:])
    widths = [architecture.feature_count, *(layer.kernel.shape[1] for layer in layers)]
    if [layer.kernel.shape[0] for layer in layers] != widths[:-1]:
        raise ModelError(
            f"{shown(path)} does not fit {architecture.name}: its classifier does not take "
            f"{architecture.feature_count} features"
        )
    return layers


def _biased_layers(arrays: Arrays) -> list[Layer]:
    """Dense layers and 1 x 1 convolutions that have a bias, in the file's order."""
    found = []
    for name, kernel in arrays.items():
        bias = arrays.get(name.removesuffix("/kernel") + "/bias")
        flat = kernel.ndim == 2 or (kernel.ndim == 4 and kernel.shape[:2] == (1, 1))
        if name.endswith("/kernel") and flat and bias is not None:
            found.append(Layer(kernel.reshape(kernel.shape[-2:]), bias))
    return found
