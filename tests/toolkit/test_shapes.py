"""One drawn picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from toolkit import shapes


@pytest.mark.parametrize("shape", shapes.CLASSES)
def test_shape_stands_out_from_the_edge(shape: str) -> None:
    """The shape is inside the picture and visible: the middle varies more than the smoothed border."""
    inside = []
    for number in range(20):
        data = shapes.draw_jpeg(shape, np.random.default_rng([9, number]), "x")
        with Image.open(io.BytesIO(data)) as image:
            grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), np.float32)
        inside.append(grey[1:-1, 1:-1].std() > np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).std())
    assert np.mean(inside) > 0.8
