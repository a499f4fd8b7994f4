"""Which layers a mixed model keeps in float."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converters.activation_ranges import WEIGHTED
from converters.flatbuffer_model import unpack_model
from converters.layerwise import LayerwiseModel
from converters.quantization.layer_errors import EXACT, LayerError


def layers_to_keep(float32: bytes, errors: Sequence[LayerError], count: int) -> frozenset[str]:
    """The layers with the largest errors of their own, and those that make what they are fed with.

    A layer goes wrong most where the tensor that it reads is too coarse, and that is only spared the rounding when
    both the layer that makes it and the one that reads it are in float. Operators without weights on the way (pools,
    sums, reshapes) go along.

    Args:
        float32: the float model.
        errors: of its layers, see ``layer_errors``.
        count: how many to start from.

    Returns:
        Names of the tensors that they give, as ``quantize_int8`` takes them; empty where no layer has an error.
    """
    view = LayerwiseModel(unpack_model(float32), [])
    makers = {int(index): operator for operator in view.operators for index in operator.outputs}
    by_layer = dict(enumerate(view.operators, 1))
    worst = sorted((e for e in errors if e.quantized and e.own < EXACT), key=lambda e: (e.own, e.layer))[:count]
    kept: set[int] = set()
    for error in worst:
        operator = by_layer[error.layer]
        kept.add(int(operator.outputs[0]))
        _add_makers(view, operator, makers, kept)
    names = ((view.graph.tensors[index].name or b"").decode(errors="replace") for index in kept)
    return frozenset(names) - {""}


def _add_makers(view: LayerwiseModel, operator: Any, makers: dict[int, Any], kept: set[int]) -> None:
    """What feeds an operator, back to and with the next ones that have weights."""
    waiting = view.fed(operator)
    while waiting:
        index = waiting.pop()
        maker = makers.get(index)
        if maker is None or index in kept:
            continue
        kept.add(index)
        if view.code(maker) not in WEIGHTED:
            waiting += view.fed(maker)
