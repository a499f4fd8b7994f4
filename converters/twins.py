"""Which operator of a float model is the same as which of an integer model that was made from it."""

from __future__ import annotations

from typing import Any

from converters.layerwise import LayerwiseModel


def find_twins(whole: LayerwiseModel, real: LayerwiseModel) -> list[Any] | None:
    """The float operator of each integer one.

    Twins stand in the same order, compute the same and read what twins before them gave.

    Args:
        whole: the integer model; some of its operators may be float ones.
        real: the float model.

    Returns:
        One for each of the integer model's operators, None for those that only change the format; None in place of
        the list where the two models differ.
    """
    remaining = iter(real.operators)
    twin_of = {int(whole.graph.inputs[0]): int(real.graph.inputs[0])}
    twins: list[Any] = []
    for operator in whole.operators:
        if whole.changes_format_only(operator):
            if int(operator.inputs[0]) not in twin_of:
                return None
            twins.append(None)
            twin_of[int(operator.outputs[0])] = twin_of[int(operator.inputs[0])]
            continue
        twin = next(remaining, None)
        if twin is None or whole.code(operator) != real.code(twin) or len(operator.outputs) != len(twin.outputs):
            return None
        if [twin_of.get(index) for index in whole.fed(operator)] != real.fed(twin):
            return None
        twin_of |= zip(map(int, operator.outputs), map(int, twin.outputs), strict=True)
        twins.append(twin)
    return twins if next(remaining, None) is None else None
