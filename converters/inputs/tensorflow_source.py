"""A foreign model of TensorFlow's - Keras, SavedModel, frozen graph - as a source of conversions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.inputs.foreign import ForeignSource, foreign_spec
from converters.inputs.frozen_part import FrozenPart
from converters.inputs.graph_session import what_failed
from converters.inputs.loops import run_function
from converters.inputs.pictures import Pictures
from converters.inputs.predictor import BOTH_BIAS, BOTH_KERNEL, Network, Notify, Predictor, look_like_probabilities
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, ModelError
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr

# Pictures a run; more take more memory and no less time.
_BATCH = 8
# Difference between the model as it came and frozen above which something went wrong: rounding makes 1e-6.
_SAME = 1e-3
# Pictures whose raw scores are looked at where nothing else tells whether they are probabilities.
_PROBES = 20
# TensorFlow's list of operations that TensorFlow Lite has not.
_MISSING_OPS = re.compile(r"(?:Flex|Custom) ops: ([^\n]+)")
_REFUSED_OP = re.compile(r"'tf\.(\w+)' op ([^\n]+)")


class TensorFlowSource(ForeignSource):
    """A model that TensorFlow runs, frozen; what it lacks of scores from 0 to 1 for each label is added behind it.

    Args:
        path: of the file, or of the folder of a SavedModel.
        predictor: the opened model, with its ``network``.
        pictures: to convert it with.
        extra: label files that the result depends on.
        notify: is told in one line what happens.
    """

    def __init__(
        self, path: Path, predictor: Predictor, pictures: Pictures, extra: Sequence[Path], notify: Notify
    ) -> None:
        super().__init__(path, predictor, pictures, extra, foreign_spec(path, predictor))
        self._notify = notify
        network = predictor.network
        if network is None or network.freeze is None:
            raise ModelError(f"{self.name} cannot be converted: TensorFlow does not run it")
        self._network: Network = network
        self._freeze: Callable[[], FrozenPart] = network.freeze

    @cached_property
    def _frozen(self) -> FrozenPart:
        return self._freeze()

    @cached_property
    def _probability(self) -> bool:
        """Whether the model's numbers are probabilities already, by what makes them or else by the numbers."""
        if self._network.probability is not None:
            return self._network.probability
        images = np.concatenate([self._pictures.check.images[:_PROBES], self._pictures.calibration[:_PROBES]])
        found = look_like_probabilities(np.stack([self._network.raw(image) for image in images]))
        said = "are taken for probabilities" if found else "are no probabilities, so a softmax is added"
        self._notify(f"scores: nothing in {self.name} says what they are; on {len(images)} pictures they {said}")
        return found

    def float32(self) -> bytes:
        """A ``.tflite`` file: normalised float32 (1, height, width, 3) -> scores, float32 (1, classes), 0..1.

        Raises:
            ModelError: TensorFlow cannot convert it, and why.
        """
        tf = import_tensorflow()
        part = self._frozen
        if part.is_trained_for_8_bits:
            self._notify(f"{self.name} is trained for 8 bits: the float files do not round as it does")
            part = part.without_rounding()
        with quiet_stderr():
            try:
                concrete = self._function(part, 1, "image", "scores").get_concrete_function()
                converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
                return bytes(converter.convert())
            except Exception as error:  # ConverterError and whatever else comes up in TensorFlow
                raise ModelError(f"{self.name} cannot be converted to TensorFlow Lite: {_why_not(error)}") from error

    def scores(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The answers of the model, float32 (count, classes), 0..1.

        A few at a time through the frozen network, which is quicker; on the first picture it is compared with the
        model as it came.

        Args:
            images: (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.

        Raises:
            ModelError: the model fails, gives no numbers, or others when it is frozen.
        """
        function = self.traced("image", "scores")
        step = _BATCH if function.input_signature[0].shape[0] is None else 1
        rows = [np.zeros((0, len(self.spec.labels)), np.float32)]
        try:
            for start in range(0, len(images), step):
                tensor = normalize(images[start : start + step], self.spec.preprocessing)
                rows.append(np.asarray(run_function(partial(function, tensor), self.name, step)))
        except EdgeExportError:
            raise
        except Exception as error:
            raise ModelError(f"{self.name}: the model fails when it runs: {what_failed(error)}") from error
        found: NDArray[np.float32] = np.concatenate(rows)
        if not np.isfinite(found).all():
            raise ModelError(f"{self.name}: the model gives scores that are no numbers")
        if len(images) and self._network.probability is not None:
            difference = float(np.abs(self._predictor.scores(images[0]) - found[0]).max())
            if difference > _SAME:
                raise ModelError(f"{self.name} gives other scores when it is frozen: they differ by {difference:.2g}")
        return found

    def traced(self, input_name: str, output_name: str) -> Any:
        """A ``tf.function`` with one signature: normalised float32 (any, height, width, 3) -> scores.

        A graph that is made for one picture at a time takes one at a time here too.

        Raises:
            ModelError: TensorFlow cannot do that.
        """
        try:
            with quiet_stderr():
                function = self._function(self._frozen, None, input_name, output_name)
                function.get_concrete_function()
        except (ValueError, TypeError):  # shapes within that fit one picture only; anything else will show again
            return self._function(self._frozen, 1, input_name, output_name)
        return function

    def keras_model(self) -> Any | None:
        """The ``keras.Model``, with scores for each label and of fixed size; None where it is another kind."""
        model = self._network.keras_model
        if model is None:
            return None
        import keras

        pixels = self.spec.preprocessing
        both = self._network.outputs != len(self.spec.labels)
        sized = tuple(model.inputs[0].shape[1:3]) == (pixels.height, pixels.width)
        if sized and self._probability and not both:
            return model
        source = keras.Input((pixels.height, pixels.width, 3))
        scores = model(source)
        if not self._probability:
            activation = "softmax" if self._network.outputs > 1 else "sigmoid"
            scores = keras.layers.Activation(activation)(scores)
        if both:
            layer = keras.layers.Dense(2)
            scores = layer(scores)
            layer.set_weights([BOTH_KERNEL, BOTH_BIAS])
        return keras.Model(source, scores)

    def _function(self, part: FrozenPart, batch: int | None, input_name: str, output_name: str) -> Any:
        tf = import_tensorflow()
        outputs, probability = self._network.outputs, self._probability
        both = outputs != len(self.spec.labels)

        def forward(image: Any) -> Any:
            values = part(image)
            if batch is None and (values.shape.rank is None or values.shape[0] is not None):
                raise ValueError("one picture at a time")
            if values.shape.rank != 2:
                values = tf.reshape(values, (-1, outputs))
            values = tf.cast(values, tf.float32)
            if not probability:
                values = tf.nn.softmax(values) if outputs > 1 else tf.sigmoid(values)
            if both:
                values = tf.matmul(values, BOTH_KERNEL) + BOTH_BIAS
            return tf.identity(values, name=output_name)

        pixels = self.spec.preprocessing
        shape = (batch, pixels.height, pixels.width, 3)
        return tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.float32, name=input_name)])


def _why_not(error: Exception) -> str:
    """What TensorFlow's converter says, without the places in the graph where it came upon it."""
    if missing := _MISSING_OPS.search(str(error)):
        return f"TensorFlow Lite has no {missing[1].replace('Flex', '')}"
    if refused := _REFUSED_OP.search(str(error)):
        return f"{refused[1]} {refused[2]}"
    return what_failed(error)
