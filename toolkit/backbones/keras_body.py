"""A backbone as the parts of a ``.keras`` file, for layered ones written without importing Keras.

The format is that of ``keras/src/saving/saving_lib.py`` in Keras 3: ``config.json`` says which layers there are and
how they hang together, ``model.weights.h5`` holds their arrays, each layer's under its class and its number among
the layers of that class. Settings that stand nowhere here are Keras's defaults, the same in 3.12 and 3.15.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.file_kind import shown
from toolkit.backbones.layers import BATCH_NORM_EPSILON, ConvLayer
from toolkit.backbones.pooling import MAX_FACTOR, Pooling
from toolkit.backbones.tflite_graph import Weights

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
#: What the whole model is called.
MODEL_NAME = "classifier"
# The variables of a batch normalisation in Keras's order.
_BATCH_NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")

Entry = dict[str, Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class KerasBody:
    """A functional Keras model with one input and one output, as data.

    Attributes:
        layers: their entries in ``config.json``, in order.
        input_name: of the input layer.
        output_name: of the layer whose output is the model's.
        weights: bytes of ``model.weights.h5``.
    """

    layers: tuple[Entry, ...]
    input_name: str
    output_name: str
    weights: bytes

    @classmethod
    def read(cls, path: Path) -> KerasBody:
        """The parts of a file that Keras saved.

        Raises:
            ModelError: missing, damaged, or no functional model with one input and one output.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read(CONFIG_FILE))["config"]
                weights = archive.read(WEIGHTS_FILE)
            ends = [_only_name(config[key]) for key in ("input_layers", "output_layers")]
            return cls(tuple(config["layers"]), ends[0], ends[1], weights)
        except Exception as error:  # zip, JSON and structure errors: all mean that the file is not what was saved
            raise ModelError(f"{shown(path)} is not a whole Keras model: {error!r}") from error


def _only_name(ends: Any) -> str:
    """The layer of ``["name", 0, 0]`` or ``[["name", 0, 0]]``, the two ways in which Keras writes one end."""
    [name, *_] = ends[0] if len(ends) == 1 else ends
    if not isinstance(name, str):
        raise ValueError(f"more than one input or output: {ends!r}")
    return name


def layer_entry(kind: str, name: str, config: Entry, sources: Sequence[tuple[str, Shape]]) -> Entry:
    """What ``config.json`` says of a layer.

    Args:
        kind: its class in ``keras.layers``.
        name: of the layer.
        config: its settings beside name and dtype.
        sources: name and output shape, without the batch, of the layers it follows.
    """
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None, *shape], "dtype": "float32", "keras_history": [source, 0, 0]},
        }
        for source, shape in sources
    ]
    shapes = [[None, *shape] for _, shape in sources]
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
        "build_config": {"input_shape": shapes if len(shapes) > 1 else shapes[0]},
        "name": name,
        "inbound_nodes": [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}],
    }


def layered_body(
    layers: tuple[ConvLayer, ...], weights: Weights, input_size: int, pooling: Pooling = "avg"
) -> KerasBody:
    """What Keras would save of ``keras_graph.build_backbone``, made without Keras.

    Args:
        layers: as ``layers_of`` gives them.
        weights: as for ``write_backbone``.
        input_size: height and width in pixels.
        pooling: of the last map.
    """
    image = {"batch_shape": [None, input_size, input_size, 3], "dtype": "float32", "name": "image"}
    entries: list[Entry] = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": image,
            "registered_name": None,
            "name": "image",
            "inbound_nodes": [],
        }
    ]
    shapes: dict[str, Shape] = {"image": (input_size, input_size, 3)}
    outputs: dict[str, str] = {}
    tensor = "image"

    def append(kind: str, name: str, config: Entry, *sources: str) -> str:
        entries.append(layer_entry(kind, name, config, [(source, shapes[source]) for source in sources]))
        shapes[name] = shapes[sources[-1]]
        return name

    for layer in layers:
        height = -(-shapes[tensor][0] // layer.stride)
        tensor = append(*_convolution(layer), tensor)
        shapes[tensor] = (height, height, layer.filters)
        tensor = append("BatchNormalization", layer.batch_norm, {"epsilon": BATCH_NORM_EPSILON}, tensor)
        if layer.relu6:
            tensor = append("ReLU", f"{layer.name}_relu", {"max_value": 6.0}, tensor)
        if layer.adds is not None:
            tensor = append("Add", f"{layer.name}_add", {}, outputs[layer.adds], tensor)
        outputs[layer.name] = tensor
    if pooling == "avg":
        append("GlobalAveragePooling2D", "features", {}, tensor)
    else:
        _append_pools(append, shapes, tensor)
    arrays = {layer.name: [weights[f"{layer.name}/kernel"]] for layer in layers}
    arrays |= {
        layer.batch_norm: [weights[f"{layer.batch_norm}/{part}"] for part in _BATCH_NORM_PARTS] for layer in layers
    }
    return KerasBody(tuple(entries), "image", "features", store_arrays(b"", entries, arrays))


def _append_pools(append: Callable[..., str], shapes: dict[str, Shape], tensor: str) -> None:
    """The layers of ``keras_graph.pool``."""
    size, _, channels = shapes[tensor]
    window = {"pool_size": [size, size], "padding": "valid", "strides": [size, size], "data_format": "channels_last"}
    append("MaxPooling2D", "max_pool", window, tensor)
    shapes["max_pool"] = (1, 1, channels)
    append("GlobalAveragePooling2D", "max_flat", {}, "max_pool")
    append("GlobalAveragePooling2D", "mean_pool", {}, tensor)
    shapes["mean_pool"] = shapes["max_flat"] = (channels,)
    append("Rescaling", "max_scale", {"scale": MAX_FACTOR, "offset": 0.0}, "max_flat")
    append("Concatenate", "features", {"axis": -1}, "mean_pool", "max_scale")


def _convolution(layer: ConvLayer) -> tuple[str, str, Entry]:
    config: Entry = {
        "kernel_size": [layer.kernel, layer.kernel],
        "strides": [layer.stride, layer.stride],
        "padding": "same",
        "use_bias": False,
    }
    if layer.depthwise:
        return "DepthwiseConv2D", layer.name, config
    return "Conv2D", layer.name, {"filters": layer.filters, **config}


def store_arrays(
    weights: bytes, entries: Sequence[Entry], arrays: Mapping[str, Sequence[NDArray[np.float32]]]
) -> bytes:
    """A ``model.weights.h5`` with more layers in it.

    Args:
        weights: of the layers before them; empty where there are none.
        entries: of the layers to be added, in order.
        arrays: of layers by name, in Keras's order of variables; a layer that is not named has none.
    """
    import h5py

    memory = io.BytesIO(weights)
    with h5py.File(memory, "r+" if weights else "w") as file:
        file.require_group("vars").attrs["name"] = MODEL_NAME
        parent = file.require_group("layers")
        numbers = Counter(re.sub(r"_\d+$", "", group) for group in parent)
        for entry in entries:
            kind = _snake_case(entry["class_name"])
            group = f"{kind}_{numbers[kind]}" if numbers[kind] else kind
            numbers[kind] += 1
            variables = parent.create_group(f"{group}/vars")
            variables.attrs["name"] = entry["name"]
            for number, array in enumerate(arrays.get(entry["name"], ())):
                variables.create_dataset(str(number), data=np.ascontiguousarray(array, np.float32))
    return memory.getvalue()


def _snake_case(name: str) -> str:
    """``to_snake_case`` of ``keras/src/utils/naming.py``, which names the groups."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
