"""A bundle's ``model.keras`` taken apart again: backbone and head."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import METRICS_FILE, MODEL_FILE, ModelBundle
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr
from toolkit.backbones.catalog import Architecture
from toolkit.backbones.keras_body import WEIGHTS_FILE
from toolkit.backbones.layers import is_layered, layers_of
from toolkit.backbones.registry import Backbone, LayeredBackbone, digest_of, load_backbone
from toolkit.backbones.weight_readers import Arrays
from toolkit.backbones.weights import locate_weights
from toolkit.head import Head, Layer
from toolkit.keras_file import head_names

# Bytes of weights in a bundle that are read: Inception v3, the largest network here, has 87 million.
_MOST_BYTES = 1 << 30
LayerArrays = Mapping[str, list[NDArray[np.float32]]]


def read_layer_arrays(bundle: ModelBundle) -> LayerArrays:
    """Layer name -> its arrays, in Keras's order of variables; TensorFlow is not needed for it.

    Raises:
        ModelError: the model file is damaged.
    """
    import h5py

    path = bundle.folder / MODEL_FILE
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(WEIGHTS_FILE).file_size > _MOST_BYTES:
                raise ValueError("its weights are far too large")
            data = archive.read(WEIGHTS_FILE)
        found: dict[str, list[NDArray[np.float32]]] = {}
        with h5py.File(io.BytesIO(data), "r") as file:
            for group in file["layers"].values():
                variables = group.get("vars")
                if variables is None or "name" not in variables.attrs:
                    continue
                arrays = [_array(variables, str(number)) for number in range(len(variables))]
                found[str(variables.attrs["name"])] = arrays
        return found
    except Exception as error:  # zip, HDF5 and structure errors: all mean a damaged file
        raise ModelError(f"{shown(path)} is damaged: {error or type(error).__name__}") from error


def _array(group: Any, name: str) -> NDArray[np.float32]:
    """A dataset that lies in the file itself: HDF5 can also point to other files of the machine."""
    import h5py

    dataset = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError(f"{name} is no array in the file")
    array = np.asarray(dataset, np.float32)
    if not np.isfinite(array).all():
        raise ValueError("a weight is no number")
    return array


def head_of(bundle: ModelBundle, arrays: LayerArrays, width: int) -> Head:
    """The dense layers behind the backbone, with their temperature.

    Args:
        bundle: that the arrays are of.
        arrays: of ``read_layer_arrays``.
        width: features of a picture.

    Raises:
        ModelError: they are not there or do not fit.
    """
    count = 1 + sum(name.startswith("hidden_") for name in arrays)
    layers: list[Layer] = []
    for name in head_names(count):
        kernel, bias = (*arrays.get(name, ()), None, None)[:2]
        if kernel is None or bias is None or kernel.shape != (width, len(bias)):
            raise ModelError(f"{shown(bundle.folder / MODEL_FILE)} is damaged: its layer {name!r} does not fit")
        layers.append(Layer(kernel, bias))
        width = len(bias)
    if width != len(bundle.spec.labels):
        raise ModelError(f"{shown(bundle.folder / MODEL_FILE)} has {width} scores for {len(bundle.spec.labels)} labels")
    return Head(tuple(layers), bundle.spec.task)


def backbone_of(
    bundle: ModelBundle, arrays: LayerArrays, architecture: Architecture, model_dir: Path | None, cache_dir: Path
) -> Backbone:
    """The backbone with the bundle's weights and, where these are ordinary ones, their digest: the cache knows it.

    Args:
        bundle: that the arrays are of.
        arrays: of ``read_layer_arrays``.
        architecture: of the bundle, with its input size.
        model_dir: folder of weight files, looked into first.
        cache_dir: of the toolkit.

    Raises:
        ModelError: the weights are not those that the bundle was written with.
    """
    digest = bundle.spec.provenance.get("weights")
    if is_layered(architecture):
        backbone: Backbone = _layered(bundle, arrays, architecture)
    else:
        backbone = _ordinary(bundle, architecture, model_dir, cache_dir) or _tuned(bundle, architecture)
    trained = bundle.spec.provenance.get("mode") in ("finetune", "scratch")
    if backbone.digest != digest and (trained or is_layered(architecture)):
        raise ModelError(
            f"{shown(bundle.folder / MODEL_FILE)} has other weights than the bundle was written with; train anew "
            "without --from"
        )
    return backbone


def _layered(bundle: ModelBundle, arrays: LayerArrays, architecture: Architecture) -> LayeredBackbone:
    weights: Arrays = {}
    for layer in layers_of(architecture):
        parts = {layer.name: ("kernel",), layer.batch_norm: ("gamma", "beta", "moving_mean", "moving_variance")}
        for name, keys in parts.items():
            found = arrays.get(name, [])
            if len(found) != len(keys):
                raise ModelError(f"{shown(bundle.folder / MODEL_FILE)} is damaged: its layer {name!r} does not fit")
            weights |= {f"{name}/{key}": array for key, array in zip(keys, found, strict=True)}
    return LayeredBackbone(architecture, _origin(bundle), digest_of(weights), weights)


def _ordinary(
    bundle: ModelBundle, architecture: Architecture, model_dir: Path | None, cache_dir: Path
) -> Backbone | None:
    """The backbone of ``load_backbone`` with the bundle's digest, where its weights are here."""
    digest, seed = bundle.spec.provenance.get("weights"), bundle.spec.provenance.get("seed")
    candidates = []
    if isinstance(seed, int):
        candidates.append(load_backbone(architecture, weights="none", cache_dir=cache_dir, seed=seed))
    if locate_weights(architecture, model_dir, cache_dir).where not in ("download", "install"):
        candidates.append(load_backbone(architecture, model_dir=model_dir, cache_dir=cache_dir))
    return next((candidate for candidate in candidates if candidate.digest == digest), None)


def _tuned(bundle: ModelBundle, architecture: Architecture) -> Backbone:
    import keras

    from toolkit.backbones.keras_applications import KerasBackbone, variables_of

    model = bundle.keras_model()
    try:
        first = model.get_layer(head_names(1 + sum(layer.name.startswith("hidden_") for layer in model.layers))[0])
        body = keras.Model(model.inputs, first.input)
    except Exception as error:  # whatever Keras raises of a model that is built in another way
        raise ModelError(f"{shown(bundle.folder / MODEL_FILE)} is not a model of toolkit train: {error}") from error
    with quiet_stderr():  # the first values that TensorFlow hands over make it greet
        weights = {name: np.asarray(variable, np.float32) for name, variable in variables_of(body).items()}
    return KerasBackbone(architecture, "", "", None, 0).with_weights(weights, _origin(bundle))


def _origin(bundle: ModelBundle) -> str:
    """Where the weights came from when the bundle was written, for people."""
    try:
        return shown(json.loads((bundle.folder / METRICS_FILE).read_bytes())["facts"]["weights"])
    except (OSError, ValueError, KeyError, TypeError):  # an older bundle, which does not say
        return f"of {shown(bundle.folder)}"
