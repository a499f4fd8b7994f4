"""Gradients of the fast depthwise convolution against TensorFlow's own."""

from __future__ import annotations

import numpy as np
import pytest

from converters.quantization.convolutions import depthwise
from converters.tensorflow import import_tensorflow


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [12, 13])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_value_and_gradients(kernel_size: int, stride: int, size: int, precision: str) -> None:
    tf = import_tensorflow()
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(2, size, size, 8)), precision)
    kernel = tf.constant(random.normal(size=(kernel_size, kernel_size, 8, 1)), precision)
    results = []
    for convolve in (depthwise, lambda x, k, s: tf.nn.depthwise_conv2d(x, k, [1, s, s, 1], "SAME")):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            # In float32 throughout for the reference; the fast one rounds its inputs and outputs alone.
            fast = convolve is depthwise
            value = convolve(images, kernel, stride) if fast else convolve(*_wide(images, kernel), stride)
            loss = tf.reduce_sum(tf.square(tf.cast(value, tf.float32)))
        results.append([tf.cast(t, tf.float32).numpy() for t in (value, *tape.gradient(loss, [images, kernel]))])
    tolerance = 1e-5 if precision == "float32" else 2e-2
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def _wide(*tensors):  # type: ignore[no-untyped-def]
    import tensorflow as tf

    return [tf.cast(tensor, tf.float32) for tensor in tensors]


def test_the_batch_may_be_any_size() -> None:
    tf = import_tensorflow()
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(5, 5, 4, 1)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 4], tf.float32)])  # type: ignore[untyped-decorator]
    def gradient(images):  # type: ignore[no-untyped-def]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(depthwise(images, kernel, 1))
        return tape.gradient(loss, kernel)

    ones = np.ones((3, 8, 8, 4), np.float32)
    np.testing.assert_allclose(gradient(ones), 3 * gradient(ones[:1]), rtol=1e-5)
