"""A model as one TensorFlow function, from which the TensorFlow formats are made."""

from __future__ import annotations

from typing import Any, Protocol

from converters.tensorflow import import_tensorflow
from runtime.spec import ModelSpec


class TensorFlowSource(Protocol):
    """What the TensorFlow formats are made from; every ``converters.source.Source`` that is no ``.tflite`` is one."""

    @property
    def spec(self) -> ModelSpec:
        """Of the model."""
        ...

    def traced(self, input_name: str, output_name: str) -> Any:
        """As ``traced_model`` gives it; the scores are probabilities.

        Raises:
            ModelError: the model cannot be had as TensorFlow operations.
        """
        ...

    def keras_model(self) -> Any | None:
        """The ``keras.Model`` that takes normalised float32 pictures; None where there is none."""
        ...


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
