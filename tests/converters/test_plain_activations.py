from __future__ import annotations

import numpy as np
import pytest

from converters.flatbuffer_model import unpack_model
from converters.formats.plain_activations import without_hard_swish
from converters.formats.tflite import convert_float32, quantize_int16x8
from converters.layerwise import LayerwiseModel
from converters.quantization.wide_activations import corrected_int16x8
from converters.ranges import measure_ranges
from tests.converters import small_nets

pytest.importorskip("tensorflow")
_HARD_SWISH = 117


def test_the_network_answers_the_same() -> None:
    net = small_nets.make("hard_swish")
    plain = without_hard_swish(net.float32)
    codes = [LayerwiseModel(unpack_model(model), []) for model in (net.float32, plain)]
    assert [any(v.code(o) == _HARD_SWISH for o in v.operators) for v in codes] == [True, False]
    given = small_nets.scores(plain, net.pictures, net.preprocessing)
    np.testing.assert_allclose(given, net.real_scores(), atol=1e-6)


def test_it_takes_16_bit_activations_then() -> None:
    net = small_nets.make("hard_swish")
    with pytest.raises(RuntimeError, match="HARD_SWISH"):
        quantize_int16x8(net.float32, measure_ranges(net.float32, net.pictures, net.preprocessing))
    plain = without_hard_swish(net.float32)
    wide = quantize_int16x8(plain, measure_ranges(plain, net.pictures, net.preprocessing))
    given = small_nets.scores(wide, net.pictures, net.preprocessing)
    assert np.abs(given - net.real_scores()).max() < 0.01


def test_other_networks_are_left_alone() -> None:
    net = small_nets.make("residual")
    assert without_hard_swish(net.float32) is net.float32


def test_an_untrained_network_whose_activations_vanish_takes_16_bits_too() -> None:
    """Interpreters refuse a ReLU6 whose range is so narrow that its 6 is more than 32 bits of steps."""
    net = small_nets.make("no_bias")
    first = net.keras.layers[1]
    first.set_weights([values * 1e-6 for values in first.get_weights()])
    float32 = convert_float32(net.keras)
    wide = corrected_int16x8(float32, net.pictures, net.preprocessing)
    given = small_nets.scores(wide, net.pictures, net.preprocessing)
    assert np.abs(given - net.real_scores()).max() < 0.01
