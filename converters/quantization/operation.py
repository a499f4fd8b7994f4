"""One operator of a float ``.tflite`` network with what it is given, and the activation that is fused into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtime.errors import ModelError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One operator with what it is given.

    Attributes:
        name: of the schema's BuiltinOperator, such as ``CONV_2D``.
        options: its options object of the schema; None where it has none.
        inputs: TensorFlow tensors, numpy arrays for constants, None for what is left out.
        shapes: of the inputs in the file, where the batch is one.
        outputs: shapes of the outputs in the file.
    """

    name: str
    options: Any
    inputs: tuple[Any, ...]
    shapes: tuple[Shape, ...]
    outputs: tuple[Shape, ...]

    def refuse(self, why: str) -> ModelError:
        """The error for a use of it that cannot be computed here."""
        return ModelError(f"the network cannot be finetuned: its {self.name} {why}; choose another quantisation")


def activated(value: Any, kind: int) -> Any:
    """The activation that is fused into an operator; ActivationFunctionType of the schema."""
    import tensorflow as tf

    if kind == 0:
        return value
    if kind == 1:
        return tf.nn.relu(value)
    if kind == 2:
        return tf.clip_by_value(value, -1.0, 1.0)
    if kind == 3:
        return tf.nn.relu6(value)
    if kind == 4:
        return tf.tanh(value)
    raise ModelError(f"the network cannot be finetuned: activation {kind} is not known here")
