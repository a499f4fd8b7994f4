"""The operators of a float ``.tflite`` network as TensorFlow operations, for any batch.

What each one computes is said by https://ai.google.dev/edge/api/tflite/ops and by TFLite's reference kernels,
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/lite/kernels/internal/reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from converters.quantization.convolutions import depthwise
from converters.quantization.operation import Operation, activated


def compute(operation: Operation) -> list[Any]:
    """The operator's outputs.

    Raises:
        ModelError: an operator, or a use of one, that is not known here.
    """
    rule = _RULES.get(operation.name)
    if rule is None:
        raise operation.refuse("is no operator that is known here")
    result = rule(operation)
    return result if isinstance(result, list) else [result]


def _padding(options: Any) -> str:
    return "SAME" if options.padding == 0 else "VALID"


def _weighted(operation: Operation, value: Any) -> Any:
    import tensorflow as tf

    bias = operation.inputs[2] if len(operation.inputs) > 2 else None
    if bias is not None:
        value = tf.nn.bias_add(value, bias)
    return activated(value, operation.options.fusedActivationFunction)


def _convolution(operation: Operation) -> Any:
    import tensorflow as tf

    options, (images, kernel) = operation.options, operation.inputs[:2]
    if operation.shapes[0][3] != operation.shapes[1][3]:
        raise operation.refuse("works on groups of channels")
    value = tf.nn.conv2d(
        images,
        tf.transpose(kernel, (1, 2, 3, 0)),
        (options.strideH, options.strideW),
        _padding(options),
        dilations=(options.dilationHFactor, options.dilationWFactor),
    )
    return _weighted(operation, value)


def _depthwise(operation: Operation) -> Any:
    import tensorflow as tf

    options, (images, kernel) = operation.options, operation.inputs[:2]
    channels, (height, width, outputs) = operation.shapes[0][3], operation.shapes[1][1:]
    kernel = tf.reshape(kernel, (height, width, channels, outputs // channels))
    dilations = (options.dilationHFactor, options.dilationWFactor)
    plain = (outputs, width, options.strideW, dilations) == (channels, height, options.strideH, (1, 1))
    if plain and _padding(options) == "SAME":
        return _weighted(operation, depthwise(images, kernel, options.strideH))
    strides = (1, options.strideH, options.strideW, 1)
    value = tf.nn.depthwise_conv2d(images, kernel, strides, _padding(options), dilations=dilations)
    return _weighted(operation, value)


def _dense(operation: Operation) -> Any:
    import tensorflow as tf

    rows = tf.reshape(operation.inputs[0], (-1, operation.shapes[1][1]))
    value = _weighted(operation, tf.matmul(rows, operation.inputs[1], transpose_b=True))
    return tf.reshape(value, (-1, *operation.outputs[0][1:]))


def _pool(kind: str) -> Callable[[Operation], Any]:
    def rule(operation: Operation) -> Any:
        import tensorflow as tf

        options = operation.options
        size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        function = tf.nn.avg_pool2d if kind == "average" else tf.nn.max_pool2d
        value = function(operation.inputs[0], size, strides, _padding(options))
        return activated(value, options.fusedActivationFunction)

    return rule


def _pair(name: str) -> Callable[[Operation], Any]:
    def rule(operation: Operation) -> Any:
        import tensorflow as tf

        value = getattr(tf, name)(*operation.inputs)
        return activated(value, getattr(operation.options, "fusedActivationFunction", 0))

    return rule


def _single(function: Callable[[Any, Any], Any]) -> Callable[[Operation], Any]:
    def rule(operation: Operation) -> Any:
        import tensorflow as tf

        return function(tf, operation.inputs[0])

    return rule


def _reduce(name: str) -> Callable[[Operation], Any]:
    def rule(operation: Operation) -> Any:
        import tensorflow as tf

        rank = len(operation.shapes[0])
        axes = sorted({int(axis) % rank for axis in operation.inputs[1].reshape(-1)})
        if 0 in axes:
            raise operation.refuse("goes over the pictures of a batch")
        return getattr(tf, name)(operation.inputs[0], axes, keepdims=bool(operation.options.keepDims))

    return rule


def _reshape(operation: Operation) -> Any:
    import tensorflow as tf

    shape = operation.outputs[0]
    if not shape or shape[0] != 1 or operation.shapes[0][:1] != (1,):
        raise operation.refuse("changes the first dimension")
    return tf.reshape(operation.inputs[0], (-1, *shape[1:]))


def _softmax(operation: Operation) -> Any:
    import tensorflow as tf

    return tf.nn.softmax(operation.inputs[0] * operation.options.beta)


def _pad(operation: Operation) -> Any:
    import tensorflow as tf

    paddings = operation.inputs[1]
    if paddings[0].any():
        raise operation.refuse("adds to the pictures of a batch")
    if operation.name == "MIRROR_PAD":
        return tf.pad(operation.inputs[0], paddings, "REFLECT" if operation.options.mode == 0 else "SYMMETRIC")
    value = float(operation.inputs[2].reshape(-1)[0]) if operation.name == "PADV2" else 0.0
    return tf.pad(operation.inputs[0], paddings, constant_values=value)


def _concatenation(operation: Operation) -> Any:
    import tensorflow as tf

    axis = operation.options.axis % len(operation.outputs[0])
    if axis == 0:
        raise operation.refuse("joins along the pictures of a batch")
    count = next((tf.shape(value)[0] for value in operation.inputs if tf.is_tensor(value)), 1)
    parts = [v if tf.is_tensor(v) else tf.repeat(tf.constant(v), count, 0) for v in operation.inputs]
    return activated(tf.concat(parts, axis), operation.options.fusedActivationFunction)


def _strided_slice(operation: Operation) -> Any:
    import tensorflow as tf

    options, (value, begin, end, strides) = operation.options, operation.inputs
    masks = (options.ellipsisMask, options.newAxisMask, options.shrinkAxisMask & 1)
    if any(masks) or int(strides[0]) != 1 or operation.outputs[0][:1] != (1,):
        raise operation.refuse("has a form that is not known here")
    # All pictures of a batch, where the file has one.
    return tf.strided_slice(
        value,
        begin,
        end,
        strides,
        begin_mask=options.beginMask | 1,
        end_mask=options.endMask | 1,
        shrink_axis_mask=options.shrinkAxisMask,
    )


def _slice(operation: Operation) -> Any:
    import tensorflow as tf

    value, begin, size = operation.inputs
    return tf.slice(value, [0, *begin[1:]], [-1, *size[1:]])


def _transpose(operation: Operation) -> Any:
    import tensorflow as tf

    if int(operation.inputs[1][0]) != 0:
        raise operation.refuse("moves the first dimension")
    return tf.transpose(operation.inputs[0], operation.inputs[1])


def _split(operation: Operation) -> Any:
    import tensorflow as tf

    axis = int(operation.inputs[0].reshape(-1)[0]) % len(operation.shapes[1])
    if axis == 0:
        raise operation.refuse("parts the pictures of a batch")
    return list(tf.split(operation.inputs[1], operation.options.numSplits, axis))


def _leaky(operation: Operation) -> Any:
    import tensorflow as tf

    return tf.nn.leaky_relu(operation.inputs[0], operation.options.alpha)


def _prelu(operation: Operation) -> Any:
    import tensorflow as tf

    value, slope = operation.inputs
    return tf.nn.relu(value) - slope * tf.nn.relu(-value)


_RULES: Mapping[str, Callable[[Operation], Any]] = MappingProxyType(
    {
        "CONV_2D": _convolution,
        "DEPTHWISE_CONV_2D": _depthwise,
        "FULLY_CONNECTED": _dense,
        "AVERAGE_POOL_2D": _pool("average"),
        "MAX_POOL_2D": _pool("max"),
        "ADD": _pair("add"),
        "SUB": _pair("subtract"),
        "MUL": _pair("multiply"),
        "DIV": _pair("divide"),
        "MAXIMUM": _pair("maximum"),
        "MINIMUM": _pair("minimum"),
        "MEAN": _reduce("reduce_mean"),
        "SUM": _reduce("reduce_sum"),
        "REDUCE_MAX": _reduce("reduce_max"),
        "RELU": _single(lambda tf, x: tf.nn.relu(x)),
        "RELU6": _single(lambda tf, x: tf.nn.relu6(x)),
        "RELU_N1_TO_1": _single(lambda tf, x: tf.clip_by_value(x, -1.0, 1.0)),
        "RELU_0_TO_1": _single(lambda tf, x: tf.clip_by_value(x, 0.0, 1.0)),
        "HARD_SWISH": _single(lambda tf, x: x * tf.nn.relu6(x + 3.0) * (1 / 6)),
        "LOGISTIC": _single(lambda tf, x: tf.sigmoid(x)),
        "TANH": _single(lambda tf, x: tf.tanh(x)),
        "ELU": _single(lambda tf, x: tf.nn.elu(x)),
        "LEAKY_RELU": _leaky,
        "PRELU": _prelu,
        "SOFTMAX": _softmax,
        "RESHAPE": _reshape,
        "SQUEEZE": _reshape,
        "EXPAND_DIMS": _reshape,
        "PAD": _pad,
        "PADV2": _pad,
        "MIRROR_PAD": _pad,
        "CONCATENATION": _concatenation,
        "STRIDED_SLICE": _strided_slice,
        "SLICE": _slice,
        "TRANSPOSE": _transpose,
        "SPLIT": _split,
    }
)
