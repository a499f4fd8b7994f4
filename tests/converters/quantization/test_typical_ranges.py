from __future__ import annotations

import numpy as np
import pytest

from converters.quantization.typical_ranges import typical_ranges
from converters.ranges import measure_ranges
from tests.converters import small_nets

pytest.importorskip("tensorflow")


def test_one_odd_picture_does_not_widen_a_range() -> None:
    net = small_nets.make("concat")
    usual = net.pictures[:30] // 4 + 96  # dull
    odd = np.where(np.indices(usual[0].shape).sum(axis=0) % 2, 255, 0).astype(np.uint8)
    images = np.concatenate([usual, odd[None]])
    without = measure_ranges(net.float32, usual, net.preprocessing)
    wide = measure_ranges(net.float32, images, net.preprocessing)
    typical = typical_ranges(net.float32, wide, images, net.preprocessing)
    spans = [{i: r[1] - r[0] for i, r in ranges.items()} for ranges in (without, wide, typical)]
    widened = [i for i in spans[0] if spans[1][i] > 1.5 * spans[0][i]]
    assert widened, "the odd picture is not odd"
    assert all(spans[2][i] <= spans[0][i] + 1e-6 for i in widened)


def test_never_wider_and_the_input_keeps_its_own() -> None:
    net = small_nets.make("residual")
    ranges = measure_ranges(net.float32, net.pictures, net.preprocessing)
    typical = typical_ranges(net.float32, ranges, net.pictures, net.preprocessing)
    assert typical.keys() == ranges.keys()
    assert all(ranges[i][0] <= typical[i][0] <= typical[i][1] <= ranges[i][1] for i in ranges)
    assert typical[0] == ranges[0] == (-1.0, 1.0)
