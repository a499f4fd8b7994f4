"""Keras model to ``.tflite``: float32 and full-integer int8."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.tensorflow import import_tensorflow
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing


def convert_float32(model: Any) -> bytes:
    """Convert as it is.

    Args:
        model: a ``keras.Model`` with one image input of fixed height and width.

    Returns:
        A ``.tflite`` file: float32 (1, height, width, 3) -> float32 (1, outputs).
    """
    tf = import_tensorflow()
    with quiet_stderr():
        return bytes(_converter(tf, model).convert())


def convert_int8(model: Any, images: NDArray[Any], preprocessing: Preprocessing) -> bytes:
    """Quantise weights and activations to 8 bits, with uint8 input and output.

    Args:
        model: a ``keras.Model`` with one image input of fixed height and width.
        images: calibration pictures, (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        preprocessing: normalises them, and becomes the input tensor's scale and zero point.

    Returns:
        A ``.tflite`` file: uint8 (1, height, width, 3), raw pixel bytes -> uint8 (1, outputs).
    """
    tf = import_tensorflow()

    def representative_dataset() -> Iterator[list[NDArray[np.float32]]]:
        for number, image in enumerate(images):
            pixels = np.array(image)
            if number == 0:
                # Black and white once each, whatever the pictures hold: the input's scale and zero point
                # then are the normalisation of 0..255, and raw bytes can go in.
                pixels[0, 0], pixels[0, 1] = 0, 255
            yield [normalize(pixels, preprocessing)[None]]

    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Statistics for quantized inputs were expected" is not so
        converter = _converter(tf, model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        return bytes(converter.convert())


def _converter(tf: Any, model: Any) -> Any:
    # A fixed batch of one: XNNPACK refuses shapes that are only known when the model runs.
    shape = (1, *model.inputs[0].shape[1:])

    listed = isinstance(getattr(model, "input", None), list)  # as it was built; Keras warns of another structure

    def forward(image: Any) -> Any:
        return model([image] if listed else image, training=False)

    traced = tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    # Without the model as second argument the converter freezes the variables itself; with it, it goes through
    # a SavedModel whose variables its calibrator then cannot read.
    return tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
