"""Any backbone that is a Keras model under training: MobileNet v3, Inception v3."""

from __future__ import annotations

import re
from typing import Any

from toolkit.backbones.keras_applications import variables_of
from toolkit.training.net import Net, Parameter


class KerasNet(Net):
    """A functional ``keras.Model``, (batch, height, width, 3) -> (batch, features), computed in float32.

    Args:
        model: its layers are cut into blocks after each ``mixedN`` (Inception) or by the ``expanded_conv_N_`` in
            front of their names (MobileNet v3).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.parameters, self.statistics = [], {}
        blocks: list[str] = []
        named = iter(variables_of(model).items())
        current = "stem"
        for layer in model.layers:
            current = _block(layer.name, current)
            trainable = {id(variable) for variable in layer.trainable_variables}
            for _ in layer.weights:
                name, variable = next(named)
                blocks.append(current)
                if id(variable) in trainable:
                    self.parameters.append(Parameter(name, variable.value, current, variable.name in _KERNELS))
                else:
                    self.statistics[name] = variable.value
        self.blocks = tuple(dict.fromkeys(blocks))

    def features(self, images: Any, training: bool) -> Any:
        """See ``Net``."""
        return self._model([images], training=training)  # backbones take a list of one input


_KERNELS = frozenset({"kernel", "depthwise_kernel"})


def _block(layer: str, current: str) -> str:
    """The block of a layer, given that of the layer before it."""
    if match := re.match(r"(expanded_conv(?:_\d+)?)_", layer):
        return match[1]
    if current.startswith("expanded_conv") and layer.startswith("conv"):
        return "head"
    if match := re.fullmatch(r"mixed(\d+)", layer):  # its last layer, where the branches meet; the next block follows
        return f"mixed{int(match[1]) + 1}"
    return current
