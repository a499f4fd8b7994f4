from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.dynamic_range import LEAST_VALUES, take_back_rounding, to_dynamic
from converters.formats.tflite import quantize_int16x8
from converters.layerwise import LayerwiseModel
from converters.mean_inputs import mean_inputs
from converters.ranges import measure_ranges
from runtime.errors import ModelError
from runtime.model_file import ModelFile
from runtime.op_versions import too_new_for
from tests.converters import small_nets
from tests.converters.small_nets import Net
from tests.converters.test_float16 import floor_scores

pytest.importorskip("tensorflow")
_INT8 = 9
_CONV, _DEPTHWISE, _FULLY_CONNECTED = 3, 4, 9


@pytest.fixture(scope="module")
def net() -> Net:
    """All three kinds of weights, each large enough; one convolution that is not."""
    return small_nets.make_wide()


def tensorflow_dynamic(net: Net) -> bytes:
    import tensorflow as tf

    from runtime.quiet import quiet_stderr

    with quiet_stderr():
        converter = small_nets.tensorflow_converter(net.keras)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
        return bytes(converter.convert())


def weights(content: bytes) -> list[tuple[int, int, int, Any]]:
    """(operator, its version, weight's type, weight's scales) of each operator with a kernel."""
    view = LayerwiseModel(unpack_model(content), [])
    found = []
    for operator in view.operators:
        if view.code(operator) in (_CONV, _DEPTHWISE, _FULLY_CONNECTED):
            tensor = view.graph.tensors[int(operator.inputs[1])]
            scales = None if tensor.quantization is None else tensor.quantization.scale
            found.append(
                (view.code(operator), view.model.operatorCodes[operator.opcodeIndex].version, tensor.type, scales)
            )
    return found


def test_weights_and_versions_are_those_of_tensorflows_converter(net: Net) -> None:
    ours, theirs = weights(to_dynamic(net.float32)), weights(tensorflow_dynamic(net))
    assert [entry[:3] for entry in ours] == [entry[:3] for entry in theirs]
    assert [entry[2] == _INT8 for entry in ours] == [False, True, True, True, True]
    for (*_, mine), (*_, other) in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_scores_are_as_near_to_float_as_with_tensorflows_converter(net: Net) -> None:
    real = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    ours, theirs = (
        np.abs(small_nets.scores(model, net.pictures, net.preprocessing) - real)
        for model in (to_dynamic(net.float32), tensorflow_dynamic(net))
    )
    assert 0 < ours.max() < 0.02
    assert ours.mean() <= theirs.mean() * 1.1


def test_mean_inputs_take_the_systematic_error_out(net: Net) -> None:
    real = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    means = mean_inputs(net.float32, small_nets.pictures(60)[20:], net.preprocessing)
    plain, corrected = (
        np.abs((small_nets.scores(model, net.pictures, net.preprocessing) - real).mean(axis=0)).max()
        for model in (to_dynamic(net.float32), to_dynamic(net.float32, means))
    )
    assert corrected < plain / 1.5


def test_a_dense_layer_has_one_scale(net: Net) -> None:
    code, version, _, scales = weights(to_dynamic(net.float32))[-1]
    assert (code, len(scales)) == (_FULLY_CONNECTED, 1)
    assert version < 12, "refused by tflite-runtime 2.14"


def test_the_file_is_a_quarter(net: Net) -> None:
    assert len(to_dynamic(net.float32)) < 0.3 * len(net.float32) + 4000


@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish"])
def test_small_weights_stay_in_float(kind: str) -> None:
    net = small_nets.make(kind)
    view = LayerwiseModel(unpack_model(net.float32), [])
    sizes = [
        np.prod(view.graph.tensors[int(o.inputs[1])].shape)
        for o in view.operators
        if view.code(o) in (_CONV, _DEPTHWISE, _FULLY_CONNECTED)
    ]
    assert max(sizes) < LEAST_VALUES
    assert to_dynamic(net.float32) == pack_model(unpack_model(net.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_stay(net: Net, value: float) -> None:
    contents, index = with_weights(net, lambda values: np.where(np.arange(values.size) == 7, value, values))
    assert unpack_model(to_dynamic(contents)).subgraphs[0].tensors[index].type != _INT8


def test_a_channel_of_zeros(net: Net) -> None:
    size = 9 * 8  # values of a channel of the second convolution
    contents, index = with_weights(net, lambda values: np.where(np.arange(values.size) < size, 0, values))
    tensor = unpack_model(to_dynamic(contents)).subgraphs[0].tensors[index]
    assert tensor.type == _INT8
    assert (np.asarray(tensor.quantization.scale) > 0).all()
    real = small_nets.scores(contents, net.pictures, net.preprocessing)
    assert np.abs(small_nets.scores(to_dynamic(contents), net.pictures, net.preprocessing) - real).max() < 0.02


def test_a_weight_that_something_else_reads_stays(net: Net) -> None:
    contents, index = with_weights(net, lambda values: values)
    model = unpack_model(contents)
    graph = model.subgraphs[0]
    graph.outputs = np.array([*graph.outputs, index], np.int32)
    assert unpack_model(to_dynamic(pack_model(model))).subgraphs[0].tensors[index].type != _INT8


def with_weights(net: Net, change: Any) -> tuple[bytes, int]:
    """The model with other weights in its second convolution, and their tensor's index."""
    model = unpack_model(net.float32)
    view = LayerwiseModel(model, [])
    index = int([o for o in view.operators if view.code(o) == _CONV][1].inputs[1])
    values = np.asarray(change(view.constant_values(index, "<f4")), "<f4")
    model.buffers[view.graph.tensors[index].buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    return pack_model(model), index


def test_the_same_bytes_each_time(net: Net) -> None:
    assert to_dynamic(net.float32) == to_dynamic(net.float32)
    assert to_dynamic(to_dynamic(net.float32)) == to_dynamic(net.float32)


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        to_dynamic(b"not a model at all")


def test_runs_on_the_floor_interpreter(net: Net, tmp_path: Path, floor_python: Path) -> None:
    path = tmp_path / "dynamic.tflite"
    path.write_bytes(to_dynamic(net.float32))
    assert too_new_for(ModelFile.read(path), "2.14.0") == []
    scores = floor_scores(path, net, floor_python)
    assert np.abs(scores - net.real_scores()[:5]).max() < 0.02


def test_rounding_is_taken_back_for_quantisers_that_do_not(net: Net) -> None:
    ranges = measure_ranges(net.float32, net.pictures, net.preprocessing)
    means = mean_inputs(net.float32, net.pictures, net.preprocessing)
    real = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    plain, corrected = (
        np.abs(
            (small_nets.scores(quantize_int16x8(model, ranges), net.pictures, net.preprocessing) - real).mean(axis=0)
        ).max()
        for model in (net.float32, take_back_rounding(net.float32, means))
    )
    assert corrected < plain / 1.5
    assert len(take_back_rounding(net.float32, means)) < len(net.float32) + 2000
