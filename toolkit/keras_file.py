"""Writes the trained model as a ``.keras`` file; TensorFlow and Keras, seconds to import, are not needed for it.

The backbone's part is written from its layers, or taken from a file that Keras saved once; the head's layers are put
behind it. Same input, same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.backbones.keras_body import (
    CONFIG_FILE,
    MODEL_NAME,
    WEIGHTS_FILE,
    Entry,
    KerasBody,
    layer_entry,
    store_arrays,
)
from toolkit.backbones.registry import Backbone

# The earliest date that a zip archive can hold.
_DATE = (1980, 1, 1, 0, 0, 0)
Kernels = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]


def head_names(count: int) -> list[str]:
    """What the Dense layers of a head are called: ``hidden_1``, ``hidden_2``, ..., and ``scores`` at the end."""
    return [*(f"hidden_{number}" for number in range(1, count)), "scores"]


def write_keras_file(path: Path, backbone: Backbone, head_layers: Kernels, activation: str, cache_dir: Path) -> None:
    """Write the model: normalised pictures, float32 (batch, size, size, 3) -> scores (batch, classes).

    Args:
        path: of the file, replaced where it exists.
        backbone: with its weights.
        head_layers: kernel, float32 (inputs, outputs), and bias, float32 (outputs,), of each dense layer. All but the
            last are followed by ReLU.
        activation: of the last layer; ``softmax`` or ``sigmoid``.
        cache_dir: of the toolkit; what only Keras can write is kept in it.

    Raises:
        OSError: the file cannot be written.
        DataError: the cache cannot be written.
    """
    body = backbone.keras_body(cache_dir)
    names = head_names(len(head_layers))
    activations = ["relu"] * (len(names) - 1) + [activation]
    entries = []
    source = body.output_name
    for name, (kernel, _), function in zip(names, head_layers, activations, strict=True):
        config = {"units": int(kernel.shape[1]), "activation": function, "use_bias": True}
        entries.append(layer_entry("Dense", name, config, [(source, (int(kernel.shape[0]),))]))
        source = name
    weights = store_arrays(body.weights, entries, dict(zip(names, head_layers, strict=True)))
    metadata = {"keras_version": version("keras"), "date_saved": "1980-01-01@00:00:00"}
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "metadata.json", json.dumps(metadata).encode())
        _add(archive, CONFIG_FILE, json.dumps(_functional(body, [*body.layers, *entries])).encode())
        _add(archive, WEIGHTS_FILE, weights)


def _functional(body: KerasBody, entries: list[Entry]) -> dict[str, Any]:
    """``config.json``: a functional model."""
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": MODEL_NAME,
            "trainable": True,
            "layers": entries,
            "input_layers": [[body.input_name, 0, 0]],
            "output_layers": [entries[-1]["name"], 0, 0],
        },
        "registered_name": "Functional",
        "build_config": {"input_shape": None},
        "compile_config": {},
    }


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o600 << 16  # as zipfile sets it for a name alone
    archive.writestr(entry, data)
