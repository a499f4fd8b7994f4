"""Random views of calibration pictures: mirrored, and cut a little closer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.preprocess import image_from_array, resize
from runtime.spec import Preprocessing

# Least side of a window as a share of the picture's: closer ones show what no camera will.
_LEAST_SIDE = 0.8
# Share of the views that show the whole picture.
_WHOLE = 0.25


def draw_view(image: NDArray[Any], preprocessing: Preprocessing, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One view.

    Args:
        image: (height, width, 3), 0..255, as ``preprocess.resize`` gives it.
        preprocessing: that it was made with.
        rng: decides what is drawn.

    Returns:
        uint8, the same shape: whole values, as an integer model is given.
    """
    pixels: NDArray[np.uint8] = np.rint(image).astype(np.uint8)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < _WHOLE:
        return pixels
    side = rng.uniform(_LEAST_SIDE, 1.0)
    height, width = (max(1, round(side * n)) for n in pixels.shape[:2])
    top, left = (int(rng.integers(0, n - part + 1)) for n, part in zip(pixels.shape, (height, width), strict=False))
    # What the model sees was cut out already, and its channels are in the model's order.
    whole = replace(preprocessing, resize="stretch", channel_order="RGB")
    window = image_from_array(np.ascontiguousarray(pixels[top : top + height, left : left + width]))
    closer: NDArray[np.uint8] = np.rint(resize(window, whole)).astype(np.uint8)
    return closer
