"""Minimises a smooth convex function of very many variables, full batch, without a line of randomness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
#: Value and gradient at a point.
Function = Callable[[Floats], tuple[float, Floats]]
# A step, the change of the gradient along it, and their product.
_Pair = tuple[Floats, Floats, np.float32]

#: Pairs of steps and gradient changes that are remembered; Nocedal and Wright, "Numerical Optimization", 2nd
#: edition, section 7.2, say 3 to 20.
_MEMORY = 10
#: Share of the promised decrease that a step must bring; the same book, section 3.1.
_SUFFICIENT_DECREASE = 1e-4
_HALVINGS = 20
#: A pair whose curvature is less says nothing but rounding.
_LEAST_CURVATURE = 1e-9


def minimise(
    function: Function, start: Floats, iterations: int = 200, gradient_tolerance: float = 1e-3, tolerance: float = 1e-5
) -> Floats:
    """Limited-memory BFGS with backtracking: Nocedal and Wright, algorithm 7.5.

    Args:
        function: value and gradient (float32, the shape of ``start``) at a point.
        start: float32 (variables,).
        iterations: at most so many steps.
        gradient_tolerance: ends when the gradient is this share of ``max(1, |value|)``, in the Euclidean norm.
        tolerance: ends when a step lowers the value by less than this share of it.

    Returns:
        float32 (variables,).
    """
    point = start
    value, gradient = function(point)
    pairs: list[_Pair] = []
    for _ in range(iterations):
        norm = float(np.linalg.norm(gradient))
        if norm <= gradient_tolerance * max(1.0, abs(value)):
            break
        direction = _direction(gradient, pairs) if pairs else gradient * np.float32(-min(1.0, 1.0 / norm))
        found = _step(function, point, value, direction, float(direction @ gradient))
        if found is None:  # float32 cannot see a decrease any more
            break
        new_point, new_value, new_gradient = found
        step, change = new_point - point, new_gradient - gradient
        curvature = np.float32(step @ change)
        if float(curvature) > _LEAST_CURVATURE * float(np.linalg.norm(step)) * float(np.linalg.norm(change)):
            pairs = [*pairs[1 - _MEMORY :], (step, change, curvature)]
        settled = value - new_value <= tolerance * abs(value)
        point, value, gradient = new_point, new_value, new_gradient
        if settled:
            break
    return point


def _step(
    function: Function, point: Floats, value: float, direction: Floats, slope: float
) -> tuple[Floats, float, Floats] | None:
    """The first of the points 1, 1/2, 1/4 ... along the direction that lowers the value enough."""
    length = 1.0
    for _ in range(_HALVINGS):
        new_point = point + np.float32(length) * direction
        new_value, new_gradient = function(new_point)
        if slope < 0 and new_value <= value + _SUFFICIENT_DECREASE * length * slope:
            return new_point, new_value, new_gradient
        length /= 2
    return None


def _direction(gradient: Floats, pairs: list[_Pair]) -> Floats:
    """Minus the inverse Hessian, as far as the pairs tell it, times the gradient."""
    result: Floats = gradient.copy()
    shares = []
    for step, change, curvature in reversed(pairs):
        share = (step @ result) / curvature
        result -= share * change
        shares.append(share)
    _, change, curvature = pairs[-1]
    result *= curvature / (change @ change)
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        result += step * (share - (change @ result) / curvature)
    return np.negative(result, out=result)
