"""Computes a Core ML package where there is no Mac: it is read back from its files and computed with TensorFlow.

This proves what is in the package (graph, weights, normalisation, order of the labels), not what Apple's processors
make of it: weights are those of the package, float16, and everything else is computed in float32.
Operations: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tensorflow import import_tensorflow
from runtime.errors import ModelError


def coreml_scores(package: Path, images: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Labels and scores that a package holds and gives.

    Args:
        package: the folder, ``NAME.mlpackage``.
        images: (count, height, width, 3), 0..255, in the package's order of colours; at least one.

    Returns:
        The labels, and float32 (count, labels).

    Raises:
        ModelError: the package is no picture classifier, or holds an operation that is not known here.
    """
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.utils.load_spec(str(package))
    weights = package / "Data" / "com.apple.CoreML" / "weights"
    function = load(spec, spec.specificationVersion, str(weights)).functions["main"]
    answers = [_run(function, image) for image in images]
    return answers[0][0], np.stack([scores for _, scores in answers])


def _run(function: Any, image: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    (name,) = function.inputs
    values: dict[str, Any] = {name: np.asarray(image, np.float32).transpose(2, 0, 1)[None]}
    for operation in function.operations:
        result = operation.outputs[0].name
        if operation.op_type == "const":
            values[result] = operation.outputs[0].val
            continue
        given = {key: _value(variable, values) for key, variable in operation.inputs.items() if variable is not None}
        if operation.op_type == "classify":
            scores = np.asarray(given["probabilities"], np.float32).reshape(-1)
            return tuple(str(label) for label in given["classes"]), scores
        compute = _OPERATIONS.get(operation.op_type)
        if compute is None:
            raise ModelError(f"the Core ML operation {operation.op_type} cannot be computed here")
        values[result] = np.asarray(compute(**given))
    raise ModelError("the Core ML package classifies nothing")


def _value(variable: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(variable, (list, tuple)):
        return [_value(item, values) for item in variable]
    value = values.get(variable.name, variable.val)
    return value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float16 else value


def _conv(
    x: Any, weight: Any, strides: Any, pad_type: str, pad: Any, dilations: Any, groups: int, bias: Any = None
) -> Any:
    tf = import_tensorflow()
    image, kernel = x.transpose(0, 2, 3, 1), weight.transpose(2, 3, 1, 0)  # (h, w, in a group, out)
    image, padding = _padded(image, pad_type, pad)
    steps = [int(step) for step in dilations]
    if groups == 1:
        y = tf.nn.conv2d(image, kernel, list(strides), padding, dilations=steps).numpy()
    elif kernel.shape[2] == 1 and kernel.shape[3] % groups == 0:
        high, wide, _, out = kernel.shape
        kernel = kernel.reshape(high, wide, groups, out // groups)
        y = tf.nn.depthwise_conv2d(image, kernel, [1, *strides, 1], padding, dilations=steps).numpy()
    else:
        raise ModelError(f"a Core ML convolution in {groups} groups cannot be computed here")
    return (y if bias is None else y + bias).transpose(0, 3, 1, 2)


def _padded(image: Any, pad_type: str, pad: Any, fill: float = 0.0) -> tuple[Any, str]:
    """The picture with the padding that TensorFlow has no name for, and the name of the rest."""
    if pad_type != "custom":
        return image, {"valid": "VALID", "same": "SAME"}[pad_type]
    sides = ((0, 0), (pad[0], pad[1]), (pad[2], pad[3]), (0, 0))
    return np.pad(image, sides, constant_values=fill), "VALID"


def _avg_pool(
    x: Any,
    kernel_sizes: Any,
    strides: Any,
    pad_type: str,
    pad: Any,
    exclude_padding_from_average: bool = False,
    ceil_mode: bool = False,
) -> Any:
    if ceil_mode or pad_type == "custom" or not (exclude_padding_from_average or pad_type == "valid"):
        raise ModelError("a Core ML pooling with such a padding cannot be computed here")
    tf = import_tensorflow()
    y = tf.nn.avg_pool2d(x.transpose(0, 2, 3, 1), list(kernel_sizes), list(strides), pad_type.upper())
    return y.numpy().transpose(0, 3, 1, 2)


def _max_pool(x: Any, kernel_sizes: Any, strides: Any, pad_type: str, pad: Any, ceil_mode: bool = False) -> Any:
    if ceil_mode:
        raise ModelError("a Core ML pooling with such a padding cannot be computed here")
    tf = import_tensorflow()
    image, padding = _padded(x.transpose(0, 2, 3, 1), pad_type, pad, -np.inf)
    return tf.nn.max_pool2d(image, list(kernel_sizes), list(strides), padding).numpy().transpose(0, 3, 1, 2)


def _softmax(x: Any, axis: int) -> Any:
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def _pad(x: Any, pad: Any, mode: str, constant_val: float = 0.0) -> Any:
    if mode != "constant":
        raise ModelError(f"a Core ML padding by {mode} cannot be computed here")
    sides = [(0, 0)] * x.ndim
    pairs = np.reshape(pad, (-1, 2)).tolist()
    sides[x.ndim - len(pairs) :] = [tuple(pair) for pair in pairs]
    return np.pad(x, sides, constant_values=constant_val)


def _matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False) -> Any:
    return (np.swapaxes(x, -1, -2) if transpose_x else x) @ (np.swapaxes(y, -1, -2) if transpose_y else y)


_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "conv": _conv,
    "avg_pool": _avg_pool,
    "max_pool": _max_pool,
    "pad": _pad,
    "softmax": _softmax,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "clip": lambda x, alpha, beta: np.clip(x, alpha, beta),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "cast": lambda x, dtype: x.astype({"fp16": np.float32, "fp32": np.float32, "int32": np.int32}[dtype]),
    "transpose": lambda x, perm: x.transpose(perm),
    "reshape": lambda x, shape: x.reshape(shape),
    "expand_dims": lambda x, axes: np.expand_dims(x, tuple(axes)),
    "squeeze": lambda x, axes: np.squeeze(x, tuple(axes)),
    "concat": lambda values, axis, interleave=False: np.concatenate(values, axis),
    "reduce_mean": lambda x, axes, keep_dims: x.mean(axis=tuple(axes), keepdims=bool(keep_dims)),
    "reduce_max": lambda x, axes, keep_dims: x.max(axis=tuple(axes), keepdims=bool(keep_dims)),
    "matmul": _matmul,
    "linear": lambda x, weight, bias=0: x @ weight.T + bias,
}
