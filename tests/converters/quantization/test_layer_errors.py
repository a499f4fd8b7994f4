from __future__ import annotations

import numpy as np
import pytest

from converters.bias_correction import correct_biases
from converters.flatbuffer_model import unpack_model
from converters.formats.float16 import to_float16
from converters.formats.tflite import quantize_int8, quantize_int16x8
from converters.quantization.layer_errors import EXACT, layer_errors
from converters.ranges import measure_ranges
from runtime.errors import ModelError
from tests.converters import small_nets
from tests.converters.small_nets import Net
from tests.converters.wild_nets import make_wild

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module", params=["residual", "concat", "hard_swish", "no_bias"])
def net(request: pytest.FixtureRequest) -> Net:
    return small_nets.make(request.param)


def test_one_entry_for_each_layer_of_the_float_model(net: Net) -> None:
    errors = layer_errors(net.int8, net.float32, net.pictures, net.preprocessing)
    graph = unpack_model(net.float32).subgraphs[0]
    assert [e.layer for e in errors] == list(range(1, len(graph.operators) + 1))
    assert [e.tensor for e in errors] == [graph.tensors[int(o.outputs[0])].name.decode() for o in graph.operators]
    assert all(e.quantized for e in errors)


def test_a_healthy_network_has_small_errors(net: Net) -> None:
    errors = layer_errors(net.int8, net.float32, net.pictures, net.preprocessing)
    assert min(e.own for e in errors) > 20
    assert all(e.own < EXACT for e in errors if e.operator == "CONV_2D")


def test_what_all_layers_have_done_is_the_error_of_the_whole(net: Net) -> None:
    """The last layer's is the signal to noise of the scores."""
    errors = layer_errors(net.int8, net.float32, net.pictures, net.preprocessing, pictures=len(net.pictures))
    real = net.real_scores()
    got = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    expected = 10 * np.log10(np.square(real).sum() / np.square(real - got).sum())
    assert errors[-1].so_far == pytest.approx(expected, abs=2.0)


def test_more_bits_less_error() -> None:
    net = small_nets.make("residual")
    ranges = measure_ranges(net.float32, net.pictures, net.preprocessing)
    wide = layer_errors(quantize_int16x8(net.float32, ranges), net.float32, net.pictures, net.preprocessing)
    narrow = layer_errors(net.int8, net.float32, net.pictures, net.preprocessing)
    weightless = [(w, n) for w, n in zip(wide, narrow, strict=True) if w.operator in ("MEAN", "ADD", "SOFTMAX")]
    assert weightless
    assert all(w.own > n.own + 6 for w, n in weightless)


def test_a_wild_channel_is_found() -> None:
    net = make_wild()
    errors = layer_errors(quantized(net), net.float32, net.pictures[:40], net.preprocessing)
    worst = min(errors, key=lambda e: e.own)
    assert (worst.layer, worst.operator) == (2, "CONV_2D"), "the layer that reads the wild channel"
    assert worst.own < 10
    assert worst.widest_channel > 100
    assert min(e.own for e in errors if e is not worst) > 20


def quantized(net: Net, layers: frozenset[str] = frozenset()) -> bytes:
    ranges = measure_ranges(net.float32, net.pictures[:40], net.preprocessing)
    return quantize_int8(net.float32, ranges, float_layers=layers)


def test_layers_that_stay_in_float_are_named(net: Net) -> None:
    errors = layer_errors(net.int8, net.float32, net.pictures, net.preprocessing)
    kept = errors[1].tensor
    mixed = quantized(net, frozenset({kept}))
    for content in (mixed, to_float16(mixed)):
        found = layer_errors(content, net.float32, net.pictures, net.preprocessing)
        assert [e.tensor for e in found if not e.quantized] == [kept]


@pytest.mark.parametrize("in_out", ["uint8", "int8", "float32"])
def test_whatever_goes_in(net: Net, in_out: str) -> None:
    ranges = measure_ranges(net.float32, net.pictures, net.preprocessing)
    model = correct_biases(
        quantize_int8(net.float32, ranges, in_out),  # type: ignore[arg-type]
        net.float32,
        net.pictures,
        net.preprocessing,
    )
    usual = correct_biases(net.int8, net.float32, net.pictures, net.preprocessing)
    found, expected = (
        [(e.own, e.so_far) for e in layer_errors(m, net.float32, net.pictures, net.preprocessing)][:-1]
        for m in (model, usual)
    )
    np.testing.assert_allclose(found, expected, atol=1.5)


def test_other_networks_cannot_be_compared() -> None:
    one, other = small_nets.make("residual"), small_nets.make("concat")
    assert layer_errors(one.int8, other.float32, one.pictures, one.preprocessing) == []


def test_without_pictures() -> None:
    net = small_nets.make("residual")
    with pytest.raises(ModelError, match="calibration pictures"):
        layer_errors(net.int8, net.float32, net.pictures[:0], net.preprocessing)
