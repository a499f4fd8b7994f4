from __future__ import annotations

import numpy as np
import pytest

from converters.flatbuffer_model import unpack_model
from converters.formats.tflite import convert_float32
from tests.converters import small_nets
from tests.converters.small_nets import Net, convert_int8

pytest.importorskip("tensorflow")
KINDS = ("residual", "concat", "hard_swish")


@pytest.fixture(scope="module", params=KINDS)
def net(request: pytest.FixtureRequest) -> Net:
    return small_nets.make(request.param)


def test_float32_gives_the_scores_of_keras(net: Net) -> None:
    given = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    assert np.abs(given - net.real_scores()).max() < 1e-5


def test_float32_takes_and_gives_one_float_batch(net: Net) -> None:
    loaded = small_nets.interpreter(net.float32)
    source, target = loaded.get_input_details(), loaded.get_output_details()
    assert [(tuple(d["shape"]), d["dtype"]) for d in source] == [((1, 24, 24, 3), np.float32)]
    assert [(tuple(d["shape"]), d["dtype"]) for d in target] == [((1, 5), np.float32)]
    assert tuple(source[0]["shape_signature"]) == (1, 24, 24, 3), "XNNPACK refuses shapes known only when it runs"


def test_int8_is_near_keras(net: Net) -> None:
    given = small_nets.scores(net.int8, net.pictures, net.preprocessing)
    assert np.abs(given - net.real_scores()).max() < 0.05


def test_int8_takes_and_gives_bytes(net: Net) -> None:
    loaded = small_nets.interpreter(net.int8)
    source, target = loaded.get_input_details()[0], loaded.get_output_details()[0]
    assert (source["dtype"], target["dtype"]) == (np.uint8, np.uint8)
    assert target["quantization"] == (pytest.approx(1 / 256), 0)


def test_int8_has_nothing_but_integers(net: Net) -> None:
    assert small_nets.float_tensors(net.int8) == []
    assert small_nets.float_tensors(net.float32) != []


@pytest.mark.parametrize(("mean", "std", "zero_points"), [(127.5, 127.5, (127, 128)), (127.0, 128.0, (127,))])
def test_the_input_of_int8_is_the_normalisation(mean: float, std: float, zero_points: tuple[int, ...]) -> None:
    # A half is no zero point: 127.5 is rounded to either side.
    net = small_nets.make("residual", mean, std)
    scale, zero_point = small_nets.interpreter(net.int8).get_input_details()[0]["quantization"]
    assert scale == pytest.approx(1 / std, rel=1e-6)
    assert zero_point in zero_points


def test_the_input_covers_all_bytes_whatever_the_calibration_pictures_hold() -> None:
    model = small_nets.build("concat")
    dull = np.full((5, 24, 24, 3), 100, np.uint8)
    int8 = convert_int8(model, dull, small_nets.pixels(127.0, 128.0))
    scale, zero_point = small_nets.interpreter(int8).get_input_details()[0]["quantization"]
    assert (scale, zero_point) == (pytest.approx(1 / 128, rel=1e-6), 127)
    assert (dull == 100).all(), "the caller's pictures are left as they are"


def test_float_calibration_pictures() -> None:
    """tf-bilinear pictures are not rounded."""
    model, images = small_nets.build("residual"), small_nets.pictures(8)
    preprocessing = small_nets.pixels(127.5, 127.5)
    whole = convert_int8(model, images, preprocessing)
    assert convert_int8(model, images.astype(np.float32), preprocessing) == whole


def test_the_same_bytes_each_time() -> None:
    model, images = small_nets.build("residual"), small_nets.pictures(8)
    preprocessing = small_nets.pixels(127.5, 127.5)
    assert convert_float32(model) == convert_float32(model)
    assert convert_int8(model, images, preprocessing) == convert_int8(model, images, preprocessing)


def test_operators_are_old_ones(net: Net) -> None:
    """FULLY_CONNECTED 12 and the like are refused by tflite-runtime 2.14."""
    for model in (net.float32, net.int8):
        versions = {(max(c.builtinCode, c.deprecatedBuiltinCode), c.version) for c in unpack_model(model).operatorCodes}
        assert max(version for code, version in versions if code == 9) <= 4
