"""Weight files as one dictionary: ``layer/kernel``, ``norm/gamma|beta|moving_mean|moving_variance``, float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.file_kind import shown
from toolkit.backbones.layers import ConvLayer

Arrays = dict[str, NDArray[np.float32]]

_NORM_PARTS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read_weights(path: Path, layers: tuple[ConvLayer, ...]) -> Arrays:
    """Read the weights of a layered backbone and check that they fit.

    Args:
        path: a ``.h5`` of Keras Applications, an EfficientNet-Lite ``.pth``, or a ``.npz`` of ``pack_weights``.
        layers: of the backbone.

    Raises:
        ModelError: not such a file, damaged, or of another architecture.
    """
    if path.suffix == ".pth":
        found = _read_torch(path)
    elif path.suffix == ".npz":
        found = _read_npz(path)
    else:
        found = read_keras_h5(path)
    weights: Arrays = {}
    channels = 3
    for layer in layers:
        inputs, outputs = (channels, 1) if layer.depthwise else (channels, layer.filters)
        shapes: dict[str, tuple[int, ...]] = {f"{layer.name}/kernel": (layer.kernel, layer.kernel, inputs, outputs)}
        shapes |= {f"{layer.batch_norm}/{part}": (layer.filters,) for part in _NORM_PARTS}
        for name, shape in shapes.items():
            array = found.get(name)
            if array is None or array.shape != shape:
                got = "it is missing" if array is None else f"it has shape {array.shape}"
                raise ModelError(f"{shown(path)} does not fit the architecture: {name} must have shape {shape}, {got}")
            weights[name] = np.ascontiguousarray(array, np.float32)
        channels = layer.filters
    return weights


def random_weights(layers: tuple[ConvLayer, ...], seed: int) -> Arrays:
    """Kernels of ``random_kernel`` and neutral normalisations."""
    random = np.random.default_rng(seed)
    weights: Arrays = {}
    channels = 3
    for layer in layers:
        inputs, outputs = (channels, 1) if layer.depthwise else (channels, layer.filters)
        shape = (layer.kernel, layer.kernel, inputs, outputs)
        weights[f"{layer.name}/kernel"] = random_kernel(random, shape, layer.depthwise)
        for part in _NORM_PARTS:
            fill = np.ones if part in {"gamma", "moving_variance"} else np.zeros
            weights[f"{layer.batch_norm}/{part}"] = fill(layer.filters, np.float32)
        channels = layer.filters
    return weights


def random_kernel(random: np.random.Generator, shape: tuple[int, ...], depthwise: bool) -> NDArray[np.float32]:
    """He-normal, https://arxiv.org/abs/1502.01852.

    Args:
        random: what it is drawn from.
        shape: (height, width, inputs, outputs); of a depthwise kernel (height, width, channels, 1).
        depthwise: whether an output sums over one channel instead of all inputs.
    """
    fan_in = np.prod(shape[: 2 if depthwise else 3])
    return random.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)


def pack_weights(weights: Arrays, path: Path) -> None:
    """Store weights compactly: pointwise and full kernels as float16, the small sensitive rest as float32.

    A float16 has 11 significant bits, so a kernel moves by 0.05 % at most: a hundredth of what int8
    quantisation does to it.
    """
    packed: dict[str, Any] = {
        name: array.astype(np.float16) if array.ndim == 4 and array.shape[3] > 1 else array
        for name, array in sorted(weights.items())
    }
    np.savez(path, **packed)


def _read_npz(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, OSError, ValueError: all mean that the file is not ours
        raise ModelError(f"cannot read the weights in {shown(path)}: {error}") from error


def read_keras_h5(path: Path) -> Arrays:
    """All weights of a Keras ``.h5`` file as ``layer/part``, in the order of the layers.

    Raises:
        ModelError: not such a file, or damaged.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)  # a whole saved model keeps them one level down
            found = {}
            for layer in root.attrs["layer_names"]:
                group = root[_text(layer)]
                for weight in group.attrs["weight_names"]:
                    part = _text(weight).split("/")[-1].split(":")[0].replace("depthwise_kernel", "kernel")
                    found[f"{_text(layer)}/{part}"] = np.asarray(group[_text(weight)])
            return found
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, ... for damaged files
        raise ModelError(f"{shown(path)} is not a Keras weight file (.h5 with layer_names): {error}") from error


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_torch(path: Path) -> Arrays:
    """Names and axis order of ``efficientnet_lite*-*.pth`` as those of ``layers_of``."""
    from toolkit.backbones.torch_weights import read_state_dict

    tensors = read_state_dict(path)
    found: Arrays = {}
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    blocks = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("_blocks.")})
    for block in blocks:
        prefix = f"_blocks.{block}."
        for part, norm in (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2")):
            pairs.append((f"block{block}_{part}", f"{prefix}_{part}_conv", f"{prefix}{norm}"))
    for name, convolution, norm in pairs:
        kernel = tensors.get(f"{convolution}.weight")
        if kernel is None:
            continue  # a first block has no expansion; read_weights names what is really missing
        depthwise = name.endswith("_depthwise")
        found[f"{name}/kernel"] = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))  # from OIHW
        for ours, theirs in _NORM_PARTS.items():
            if f"{norm}.{theirs}" in tensors:
                found[f"{name}_bn/{ours}"] = tensors[f"{norm}.{theirs}"]
    return found
