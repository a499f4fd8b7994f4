"""Convolutions whose gradients are fast on a processor; the values are TensorFlow's own.

Measured on two cores with Lite0 at 224 x 224, batches of 16: oneDNN's gradient of a 5 x 5 depthwise filter takes
ten times as long as that of a 3 x 3 one, and its bfloat16 depthwise gradients as long again. So a large filter's
gradient is put together from 3 x 3 parts, and depthwise gradients are computed in float32.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def depthwise(images: Any, kernel: Any, stride: int) -> Any:
    """``tf.nn.depthwise_conv2d`` with SAME padding, channel multiplier 1.

    Args:
        images: (batch, height, width, channels), float32 or bfloat16; the shape is static but for the batch.
        kernel: (size, size, channels, 1), of the same type.
        stride: in both directions.
    """
    return _depthwise(stride)(images, kernel)


@cache
def _depthwise(stride: int) -> Any:
    import tensorflow as tf

    strides = [1, stride, stride, 1]

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolve(images: Any, kernel: Any) -> Any:
        def gradient(above: Any) -> tuple[Any, Any]:
            wide = tf.cast(above, tf.float32)
            below = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(images),
                filter=tf.cast(kernel, tf.float32),
                out_backprop=wide,
                strides=strides,
                padding="SAME",
            )
            own = _filter_gradient(tf.cast(images, tf.float32), wide, int(kernel.shape[0]), stride)
            return tf.cast(below, images.dtype), tf.cast(own, kernel.dtype)

        return tf.nn.depthwise_conv2d(images, kernel, strides, "SAME"), gradient

    return convolve


def _filter_gradient(images: Any, above: Any, size: int, stride: int) -> Any:
    """The gradient of a depthwise filter, float32 (size, size, channels, 1)."""
    import tensorflow as tf

    channels, strides = images.shape[3], [1, stride, stride, 1]

    def part(window: Any, side: int, padding: str) -> Any:
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=window, filter_sizes=[side, side, channels, 1], out_backprop=above, strides=strides, padding=padding
        )

    if size != 5:  # the families here have 3 and 5
        return part(images, size, "SAME")
    extents = []
    paddings = [[0, 0]]
    for axis in (1, 2):
        outputs = -(-images.shape[axis] // stride)
        missing = max((outputs - 1) * stride + size - images.shape[axis], 0)
        paddings.append([missing // 2, missing - missing // 2])
        extents.append((outputs - 1) * stride + 3)
    padded = tf.pad(images, [*paddings, [0, 0]])

    def corner(down: int, across: int) -> Any:
        return part(padded[:, down : down + extents[0], across : across + extents[1], :], 3, "VALID")

    # The parts share the middle row and column.
    rows = [tf.concat([corner(down, 0), corner(down, 2)[:, 1:]], 1) for down in (0, 2)]
    return tf.concat([rows[0], rows[1][1:]], 0)
