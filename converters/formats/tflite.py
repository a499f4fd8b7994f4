"""A traced network to a float32 ``.tflite``, and that file to integer ones.

Only the first step needs the network in TensorFlow. All other kinds are made from the float32 file, so that a file
from somewhere else is quantised by the same code, and five kinds cost little more than one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.flatbuffer_model import pack_model, unpack_model
from converters.kinds import InOut
from converters.ranges import Ranges, set_ranges
from converters.tensorflow import import_tensorflow
from runtime.quiet import quiet_stderr

# tensorflow/compiler/mlir/lite/types.proto: IODataType.QUANTIZED_INT8.
_QUANTIZED_INT8 = 9


def convert_float32(model: Any) -> bytes:
    """Convert a Keras model as it is.

    Args:
        model: a ``keras.Model`` with one image input of fixed height and width.

    Returns:
        A ``.tflite`` file: float32 (1, height, width, 3) -> float32 (1, outputs).
    """
    listed = isinstance(getattr(model, "input", None), list)  # as it was built; Keras warns of another structure

    def forward(image: Any) -> Any:
        return model([image] if listed else image, training=False)

    height, width = model.inputs[0].shape[1:3]
    return convert_function(forward, height, width)


def convert_function(forward: Any, height: int, width: int) -> bytes:
    """Convert a function of TensorFlow.

    Args:
        forward: float32 (1, height, width, 3) -> float32 (1, outputs).
        height: of the pictures, pixels.
        width: of the pictures, pixels.

    Returns:
        A ``.tflite`` file of it.
    """
    tf = import_tensorflow()
    # A fixed batch of one: XNNPACK refuses shapes that are only known when the model runs.
    traced = tf.function(forward, input_signature=[tf.TensorSpec((1, height, width, 3), tf.float32, name="image")])
    with quiet_stderr():
        # Without the model as second argument the converter freezes the variables itself; with it, it goes through
        # a SavedModel, which takes seconds.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()])
        return bytes(converter.convert())


def quantize_int8(
    float32: bytes, ranges: Ranges, in_out: InOut = "uint8", float_layers: frozenset[str] = frozenset()
) -> bytes:
    """Weights and activations in 8 bits, weights with a scale for each channel.

    Args:
        float32: a ``.tflite`` file: float32 (1, height, width, 3) -> float32 (1, outputs).
        ranges: of its tensors.
        in_out: what it takes and gives. ``uint8`` takes raw pixel bytes.
        float_layers: names of the tensors whose operators stay in float32; with any, the model is a mixed one.

    Returns:
        A ``.tflite`` file.
    """
    tf = import_tensorflow()
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.util import modify_model_io_type

    with quiet_stderr():
        quantized = mlir_quantize(
            _calibrated(float32, ranges),
            fully_quantize=False,  # leaves float ends, which the next step turns into what is asked for
            inference_type=_QUANTIZED_INT8,
            input_data_type=tf.float32,
            output_data_type=tf.float32,
            denylisted_nodes=set(float_layers),
        )
        outer = getattr(tf, in_out)
        return bytes(modify_model_io_type(quantized, outer, outer))


def quantize_int16x8(float32: bytes, ranges: Ranges) -> bytes:
    """Weights in 8 bits and activations in 16, which keeps nearly all of the accuracy and is slower than int8.

    Args:
        float32: a ``.tflite`` file: float32 (1, height, width, 3) -> float32 (1, outputs).
        ranges: of its tensors.

    Returns:
        A ``.tflite`` file with float32 input and output and 64-bit biases, as tflite-runtime 2.14 takes it.
    """
    import_tensorflow()
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    def number(name: str) -> int:
        return np.dtype(name).num

    with quiet_stderr():
        # The calibrator works on the bytes where they lie: both must live until it is done.
        content = _calibrated(float32, ranges)
        calibrator = Calibrator(content)
        return bytes(
            calibrator._calibrator.QuantizeModel(
                number("float32"), number("float32"), False, number("int16"), number("int64"), False, False
            )
        )


def _calibrated(float32: bytes, ranges: Ranges) -> bytes:
    model = unpack_model(float32)
    set_ranges(model, ranges)
    return pack_model(model)
