"""A Keras model as one TensorFlow function, from which the TensorFlow formats are made."""

from __future__ import annotations

from typing import Any

from converters.tensorflow import import_tensorflow


def traced_model(model: Any, *, input_name: str, output_name: str) -> Any:
    """The model in inference mode as a ``tf.function`` with one signature.

    Args:
        model: a ``keras.Model`` with one image input of fixed height and width, and one output.
        input_name: of the argument, float32 (any batch, height, width, 3).
        output_name: of the node that gives the result.
    """
    tf = import_tensorflow()
    # As the model was built; Keras warns of another structure.
    listed = isinstance(getattr(model, "input", None), list)

    def forward(image: Any) -> Any:
        return tf.identity(model([image] if listed else image, training=False), name=output_name)

    shape = (None, *model.inputs[0].shape[1:])
    return tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.float32, name=input_name)])
