from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.float16 import KEPT_SHARE, from_float16, to_float16
from converters.layerwise import LayerwiseModel
from converters.mean_inputs import mean_inputs
from runtime.errors import ModelError
from runtime.model_file import ModelFile
from runtime.op_versions import too_new_for
from tests.converters import small_nets
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")
_FLOAT32, _FLOAT16, _DEQUANTIZE = 0, 1, 6


@pytest.fixture(scope="module", params=["residual", "concat", "hard_swish", "no_bias"])
def net(request: pytest.FixtureRequest) -> Net:
    return small_nets.make(request.param)


def kernels(content: bytes) -> dict[int, int]:
    """Stored values of each type among constants of two dimensions and more."""
    view = LayerwiseModel(unpack_model(content), [])
    counted: dict[int, int] = {}
    for index, tensor in enumerate(view.graph.tensors):
        if view.constant(index) is not None and tensor.shape is not None and len(tensor.shape) > 1:
            counted[tensor.type] = counted.get(tensor.type, 0) + int(np.prod(tensor.shape))
    return counted


def tensorflow_float16(net: Net) -> bytes:
    import tensorflow as tf

    from runtime.quiet import quiet_stderr

    with quiet_stderr():
        converter = small_nets.tensorflow_converter(net.keras)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())


def test_scores_are_nearer_to_float_than_with_tensorflows_converter(net: Net) -> None:
    real = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    ours, theirs = (
        np.abs(small_nets.scores(model, net.pictures, net.preprocessing) - real)
        for model in (to_float16(net.float32), tensorflow_float16(net))
    )
    assert 0 < ours.max() < 2e-3, "nothing was rounded, or too much"
    assert ours.mean() <= theirs.mean() * 1.2


def test_mean_inputs_take_the_systematic_error_out() -> None:
    net = small_nets.make_wide()
    real = small_nets.scores(net.float32, net.pictures, net.preprocessing)
    means = mean_inputs(net.float32, small_nets.pictures(80)[60:], net.preprocessing)
    plain, corrected = (
        np.abs((small_nets.scores(model, net.pictures, net.preprocessing) - real).mean(axis=0)).max()
        for model in (to_float16(net.float32), to_float16(net.float32, means))
    )
    assert corrected < plain / 1.5


def test_kernels_are_stored_in_half_the_bytes(net: Net) -> None:
    counted = kernels(to_float16(net.float32))
    depthwise = 72 if b"depthwise" in net.float32 else 0
    assert counted[_FLOAT16] >= (1 - KEPT_SHARE) * (sum(counted.values()) - depthwise) - 128 * 3
    assert len(to_float16(net.float32)) < len(net.float32) + 4000  # small networks: a kernel costs more than it saves


def test_inputs_outputs_and_operators_stay(net: Net) -> None:
    before, after = (small_nets.interpreter(model) for model in (net.float32, to_float16(net.float32)))
    for ends in ("get_input_details", "get_output_details"):
        old, new = getattr(before, ends)()[0], getattr(after, ends)()[0]
        assert (list(old["shape"]), old["dtype"], old["name"]) == (list(new["shape"]), new["dtype"], new["name"])
    view = LayerwiseModel(unpack_model(to_float16(net.float32)), [])
    kept = [view.code(operator) for operator in view.operators if view.code(operator) != _DEQUANTIZE]
    old_view = LayerwiseModel(unpack_model(net.float32), [])
    assert kept == [old_view.code(operator) for operator in old_view.operators]


def test_a_kernel_that_does_not_fit_stays(net: Net) -> None:
    contents = unpack_model(net.float32)
    view = LayerwiseModel(contents, [])
    operator = next(o for o in view.operators if view.code(o) == 3)
    index = int(operator.inputs[1])
    values = view.constant_values(index, "<f4").copy()
    values[0] = 1e6
    contents.buffers[contents.subgraphs[0].tensors[index].buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    after = unpack_model(to_float16(pack_model(contents)))
    assert after.subgraphs[0].tensors[index].type == _FLOAT32
    assert LayerwiseModel(after, []).constant_values(index, "<f4")[0] == 1e6


def test_a_second_time_changes_nothing_more(net: Net) -> None:
    once = to_float16(net.float32)
    assert len(to_float16(once)) <= len(once)
    assert to_float16(net.float32) == once


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        to_float16(b"not a model at all")


def test_runs_on_the_floor_interpreter(net: Net, tmp_path: Path, floor_python: Path) -> None:
    path = tmp_path / "half.tflite"
    path.write_bytes(to_float16(net.float32))
    assert too_new_for(ModelFile.read(path), "2.14.0") == []
    scores = floor_scores(path, net, floor_python)
    assert np.abs(scores - net.real_scores()[:5]).max() < 2e-3


def floor_scores(path: Path, net: Net, python: Path) -> np.ndarray:
    """Of the first five pictures, on tflite-runtime 2.14."""
    from runtime.preprocess import normalize

    tensors = path.with_suffix(".npy")
    np.save(tensors, normalize(net.pictures[:5], net.preprocessing))
    code = (
        "import sys, numpy; from tflite_runtime.interpreter import Interpreter\n"
        "run = Interpreter(sys.argv[1]); run.allocate_tensors()\n"
        "for tensor in numpy.load(sys.argv[2]):\n"
        "    run.set_tensor(run.get_input_details()[0]['index'], tensor[None]); run.invoke()\n"
        "    print(*run.get_tensor(run.get_output_details()[0]['index'])[0])\n"
    )
    command = [str(python), "-I", "-c", code, str(path), str(tensors)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.array([line.split() for line in done.stdout.splitlines()], np.float32)


def test_unpacked_again_it_is_float32_with_the_operators_it_had(net: Net) -> None:
    for half in (to_float16(net.float32), tensorflow_float16(net)):
        back = from_float16(half)
        assert _FLOAT16 not in kernels(back)
        view, old = (LayerwiseModel(unpack_model(content), []) for content in (back, net.float32))
        assert sorted(map(view.code, view.operators)) == sorted(map(old.code, old.operators))
        given = small_nets.scores(back, net.pictures[:5], net.preprocessing)
        np.testing.assert_allclose(given, small_nets.scores(half, net.pictures[:5], net.preprocessing), atol=1e-6)
