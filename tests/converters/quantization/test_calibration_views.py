from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.quantization.calibration_views import draw_view
from tests.converters import small_nets
from tests.converters.quantization.networks import PREPROCESSING

PICTURE = small_nets.pictures(1)[0]


def test_views_differ_and_come_again_with_their_seed() -> None:
    views = [draw_view(PICTURE, PREPROCESSING, np.random.default_rng(seed)) for seed in range(20)]
    assert {view.shape for view in views} == {PICTURE.shape}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}
    assert len({view.tobytes() for view in views}) > 10
    again = [draw_view(PICTURE, PREPROCESSING, np.random.default_rng(seed)) for seed in range(20)]
    assert [view.tobytes() for view in views] == [view.tobytes() for view in again]


def test_the_picture_as_it_is_and_mirrored_are_among_them() -> None:
    views = {draw_view(PICTURE, PREPROCESSING, np.random.default_rng(seed)).tobytes() for seed in range(60)}
    assert PICTURE.tobytes() in views
    assert PICTURE[:, ::-1].tobytes() in views


@pytest.mark.parametrize(
    "changes",
    [
        {"resize": "center-crop", "crop_fraction": 0.5},
        {"channel_order": "BGR"},
    ],
)
def test_what_was_cut_and_ordered_already_is_not_again(changes: dict[str, object]) -> None:
    for seed in range(10):
        views = [
            draw_view(PICTURE, preprocessing, np.random.default_rng(seed))
            for preprocessing in (PREPROCESSING, replace(PREPROCESSING, **changes))
        ]
        np.testing.assert_array_equal(*views)


def test_pictures_with_fractions_become_whole() -> None:
    real = PICTURE.astype(np.float32) + np.float32(0.4)
    view = draw_view(real.clip(0, 255), replace(PREPROCESSING, resample="tf-bilinear"), np.random.default_rng(3))
    assert view.dtype == np.uint8
    assert view.shape == PICTURE.shape
