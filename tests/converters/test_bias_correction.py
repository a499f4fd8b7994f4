from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters import bias_correction
from converters.bias_correction import correct_biases
from converters.flatbuffer_model import pack_model, unpack_model
from converters.layerwise import LayerwiseModel
from tests.converters import small_nets
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")
_CONV = 3  # BuiltinOperator of the schema


@pytest.fixture(scope="module", params=["residual", "concat", "hard_swish", "no_bias"])
def net(request: pytest.FixtureRequest) -> Net:
    return small_nets.make(request.param)


def corrected(net: Net, int8: bytes | None = None, **options: Any) -> bytes:
    return correct_biases(int8 or net.int8, net.float32, net.pictures, net.preprocessing, **options)


def biases(contents: Any) -> list[tuple[int, NDArray[np.int32]]]:
    """(tensor index, values) of every operator's bias, in order."""
    model = LayerwiseModel(contents, [])
    found = []
    for operator in model.operators:
        if len(operator.inputs) == 3 and operator.inputs[2] >= 0:
            buffer = model.constant(int(operator.inputs[2]))
            if buffer is None:  # three parts that are put together
                continue
            found.append((int(operator.inputs[2]), np.frombuffer(bytes(buffer.data), "<i4")))
    return found


def shifted(net: Net, real: float) -> bytes:
    """The int8 model with every bias of the first layer off by ``real``, up and down in turn."""
    contents = unpack_model(net.int8)
    index, values = biases(contents)[0]
    tensor = contents.subgraphs[0].tensors[index]
    signs = np.where(np.arange(len(values)) % 2, 1, -1)
    moved = np.rint(values + signs * real / np.asarray(tensor.quantization.scale)).astype("<i4")
    contents.buffers.append(type(contents.buffers[0])())
    tensor.buffer = len(contents.buffers) - 1
    contents.buffers[-1].data = np.frombuffer(moved.tobytes(), np.uint8)
    return pack_model(contents)


def mean_error(net: Net, int8: bytes) -> float:
    """Largest difference of a class's mean score to the Keras model's: what a systematic shift changes."""
    given = small_nets.scores(int8, net.pictures, net.preprocessing)
    return float(np.abs(given.mean(axis=0) - net.real_scores().mean(axis=0)).max())


def test_takes_a_planted_shift_out(net: Net) -> None:
    planted = shifted(net, 0.3)
    before, after = mean_error(net, planted), mean_error(net, corrected(net, planted))
    assert before > 0.01, "nothing was planted"
    assert after < before / 4
    assert after < 0.01


def test_makes_a_good_model_no_worse(net: Net) -> None:
    # A step of the output is 1/256.
    assert mean_error(net, corrected(net)) <= mean_error(net, net.int8) + 0.002
    errors = [
        np.abs(small_nets.scores(m, net.pictures, net.preprocessing) - net.real_scores())
        for m in (net.int8, corrected(net))
    ]
    assert errors[1].mean() <= errors[0].mean() + 0.002


def test_nothing_but_biases_changes(net: Net) -> None:
    before, after = unpack_model(net.int8), unpack_model(corrected(net))
    touched = {index for index, _ in biases(before)}
    for index, (old, new) in enumerate(zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=True)):
        assert (old.name, old.type, list(old.shape)) == (new.name, new.type, list(new.shape))
        data = [contents.buffers[t.buffer].data for contents, t in ((before, old), (after, new))]
        if index not in touched:
            assert [None if d is None else bytes(d) for d in data[:1]] == [
                None if d is None else bytes(d) for d in data[1:]
            ]
    assert small_nets.float_tensors(corrected(net)) == []


def test_layers_that_share_a_bias_are_corrected_one_by_one() -> None:
    """The converter keeps the zeros of layers without a bias once: writing to one must not move the others."""
    net = small_nets.make("no_bias")
    before = unpack_model(net.int8)
    shared = [before.subgraphs[0].tensors[index].buffer for index, _ in biases(before)]
    assert len(set(shared)) < len(shared), "the case is not there any more"
    after = [values for _, values in biases(unpack_model(corrected(net)))]
    assert len({values.tobytes() for values in after}) == len(after)


def test_the_same_bytes_each_time(net: Net) -> None:
    assert corrected(net) == corrected(net)


def test_a_graph_that_differs_is_left_alone() -> None:
    net, other = small_nets.make("residual"), small_nets.make("concat")
    assert correct_biases(net.int8, other.float32, net.pictures, net.preprocessing) == net.int8


def test_operators_in_another_order_are_left_alone() -> None:
    """Two branches the other way round: the same operators in a row, but no twins."""
    net = small_nets.make("concat")
    contents = unpack_model(net.float32)
    operators = contents.subgraphs[0].operators
    model = LayerwiseModel(contents, [])
    convolutions = [i for i, operator in enumerate(operators) if model.code(operator) == _CONV]
    left, right = convolutions[1:3]
    assert model.fed(operators[left]) == model.fed(operators[right])
    operators[left], operators[right] = operators[right], operators[left]
    assert correct_biases(net.int8, pack_model(contents), net.pictures, net.preprocessing) == net.int8


def test_an_operator_more_or_less_is_left_alone(net: Net) -> None:
    contents = unpack_model(net.float32)
    contents.subgraphs[0].operators.pop()
    assert correct_biases(net.int8, pack_model(contents), net.pictures, net.preprocessing) == net.int8


def test_takes_as_many_pictures_as_it_is_told(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    class Counting(LayerwiseModel):
        def __init__(self, model: Any, inputs: list[NDArray[Any]]) -> None:
            counts.append(len(inputs))
            super().__init__(model, inputs)

    monkeypatch.setattr(bias_correction, "LayerwiseModel", Counting)
    few = corrected(net, pictures=3)
    assert counts == [3, 3]
    assert corrected(net, pictures=1000) == corrected(net, pictures=len(net.pictures))
    assert few != corrected(net)


def test_float_pictures_are_rounded_for_the_integer_model(net: Net) -> None:
    real = net.pictures.astype(np.float32)
    assert correct_biases(net.int8, net.float32, real, net.preprocessing) == corrected(net)


def test_runs_on_the_floor_interpreter(net: Net, tmp_path: Path, floor_python: Path) -> None:
    model, pictures = tmp_path / "m.tflite", tmp_path / "pictures.npy"
    model.write_bytes(corrected(net))
    np.save(pictures, net.pictures)
    code = (
        "import sys, numpy; from tflite_runtime.interpreter import Interpreter\n"
        "run = Interpreter(sys.argv[1]); run.allocate_tensors()\n"
        "for picture in numpy.load(sys.argv[2]):\n"
        "    run.set_tensor(run.get_input_details()[0]['index'], picture[None]); run.invoke()\n"
        "    print(*run.get_tensor(run.get_output_details()[0]['index'])[0])\n"
    )
    command = [str(floor_python), "-I", "-c", code, str(model), str(pictures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scores = np.array([line.split() for line in done.stdout.splitlines()], np.float32) / 256
    here = small_nets.scores(model.read_bytes(), net.pictures, net.preprocessing)
    assert np.abs(scores - here).max() <= 4 / 256
