"""The Edge TPU: a fake compiler proves the protocol only; the rules are held against models that Coral compiles."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats import edgetpu
from converters.formats.dense_per_tensor import per_channel_dense_layers, per_tensor_dense
from converters.formats.edgetpu_rules import BEHIND, MAPPED, Operators, predict
from converters.formats.lean_model import lean_model
from converters.formats.micro_operators import code_name
from converters.metadata import add_metadata
from runtime.errors import ModelError
from runtime.spec import LabelList, ModelSpec
from tests.converters import small_nets
from tests.converters.small_nets import Net

# As compiler 16.0 prints it with -s.
LOG = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 2144 ms.

Input model: {folder}/model.tflite
Input size: 3.42MiB
Output model: {folder}/model_edgetpu.tflite
Output size: 3.72MiB
On-chip memory used for caching model parameters: 3.53MiB
On-chip memory remaining for caching model parameters: 4.13MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 34
Operation log: {folder}/model_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will \
instead run on the CPU, which is slower.
Number of operations that will run on Edge TPU: 32
Number of operations that will run on CPU: 2

Operator                       Count      Status

CONV_2D                        14         Mapped to Edge TPU
DEPTHWISE_CONV_2D              13         Mapped to Edge TPU
HARD_SWISH                     1          Operation not supported
MEAN                           5          Mapped to Edge TPU
MEAN                           1          More than one subgraph is not supported
Compilation child process completed within timeout period.
Compilation succeeded!
"""

COMPILER = """\
#!{python}
import sys
from pathlib import Path
flags, path = sys.argv[1:-1], Path(sys.argv[-1])
assert flags[:2] == ["-s", "-o"], flags
folder = Path(flags[2])
content = path.read_bytes()
{body}
"""


@pytest.fixture(scope="module")
def net() -> Net:
    pytest.importorskip("tensorflow")
    return small_nets.make("residual")


def compiler(folder: Path, body: str) -> str:
    path = folder / "edgetpu_compiler"
    path.write_text(COMPILER.format(python=sys.executable, body=body))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


SPEC = ModelSpec("x", "small", "single-label", small_nets.pixels(127.5, 127.5), LabelList(("ä", "b", "c", "d", "e")))


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler is a program for Linux")
def test_the_compiler_is_asked_and_its_log_read(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LOG.replace("\n", "\\n")
    body = f'(folder / "model_edgetpu.tflite").write_bytes(b"made of " + content)\nprint("{log}".format(folder=folder))'
    monkeypatch.setenv("PATH", str(Path(compiler(tmp_path, body)).parent))
    out = tmp_path / "out 花"
    result = edgetpu.write(add_metadata(net.int8, SPEC), SPEC, out, "flowers_int8")
    endings = ["edgetpu.tflite", "edgetpu.log", "edgetpu_labels.txt", "edgetpu_spec.json"]
    assert [path.name for path in result.files] == [f"flowers_int8_{ending}" for ending in endings]
    assert result.files[2].read_text(encoding="utf-8").splitlines() == list(SPEC.labels)
    compiled = result.files[0].read_bytes()
    assert compiled.startswith(b"made of ")
    given = unpack_model(compiled[len(b"made of ") :])
    assert not per_channel_dense_layers(given), "the compiler is of a time before them"
    assert b"spec.json" not in compiled
    assert all(tensor.name for tensor in given.subgraphs[0].tensors)
    assert str(tmp_path) not in result.files[1].read_text()
    assert result.compiler == "16.0.384591198"
    assert result.operators[2] == Operators("HARD_SWISH", 1, "Operation not supported")
    assert [entry.mapped for entry in result.operators] == [True, True, False, True, False]
    assert result.message == (
        "32 of 34 operators run on the Edge TPU, on the processor: 1 HARD_SWISH (Operation not supported), "
        "1 MEAN (More than one subgraph is not supported); on-chip memory used: 3.53MiB; "
        "on-chip memory remaining: 4.13MiB; off-chip memory used: 0.00B"
    )
    assert result.to_json()["operators"][2] == {"name": "HARD_SWISH", "count": 1, "status": "Operation not supported"}


@pytest.mark.skipif(sys.platform == "win32", reason="the compiler is a program for Linux")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('print("Invalid model: model.tflite\\nModel not quantized"); sys.exit(1)', "Model not quantized"),
        ('print("Internal compiler error. Aborting!")', "Internal compiler error"),
        ('sys.stderr.write("no such thing\\n"); sys.exit(3)', "refuses x_int8: no such thing"),
        ("sys.exit(4)", "refuses x_int8: exit code 4"),
    ],
)
def test_what_the_compiler_refuses(net: Net, tmp_path: Path, body: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        edgetpu.write(net.int8, SPEC, tmp_path / "out", "x_int8", compiler(tmp_path, body))
    assert not (tmp_path / "out").exists()


def test_a_compiler_that_does_not_run(net: Net, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be run"):
        edgetpu.write(net.int8, SPEC, tmp_path, "x", str(tmp_path / "none"))


def test_without_the_compiler(net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = edgetpu.write(net.int8, SPEC, tmp_path, "x_int8")
    assert result.compiler is None
    assert "edgetpu_compiler is not installed" in result.message
    total = len(unpack_model(net.int8).subgraphs[0].operators)
    assert f"by its rules {total} of {total} operators would run on the Edge TPU" in result.message
    assert result.message.endswith("compile it with: edgetpu_compiler x_int8_for_edgetpu.tflite")
    (ready,) = result.files
    assert ready.read_bytes() == lean_model(per_tensor_dense(net.int8), keep_names=True)
    again = edgetpu.write(ready.read_bytes(), SPEC, tmp_path, "y")
    assert again.files == (), "nothing is to be changed"
    assert again.message.endswith("edgetpu_compiler y.tflite")


def test_float_files_are_refused(net: Net, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing of x would run .* unsupported data type \(float32\).* the int8 one"):
        edgetpu.write(net.float32, SPEC, tmp_path, "x")
    with pytest.raises(ModelError, match="not a TensorFlow Lite model"):
        edgetpu.write(b"", SPEC, tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v2_1.0_224_quant.tflite"])
def test_models_that_coral_publishes_compiled(thirdparty: Path, name: str) -> None:
    """https://coral.ai/models/image-classification/ has them with all operators on the Edge TPU."""
    found = predict(unpack_model((thirdparty / name).read_bytes()))
    assert {entry.status for entry in found} == {MAPPED}


def statuses(model: bytes) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for entry in predict(unpack_model(model)):
        found.setdefault(entry.name, set()).add(entry.status)
    return found


def test_what_follows_an_unsupported_operator() -> None:
    net = small_nets.make("hard_swish")
    found = statuses(per_tensor_dense(net.int8))
    assert found["HARD_SWISH"] == {"Operation not supported"}
    assert found["CONV_2D"] == {MAPPED, BEHIND}, "the first one stands before it"
    assert found["SOFTMAX"] == {BEHIND}


def test_many_scales_of_a_dense_layer(net: Net) -> None:
    found = statuses(net.int8)
    assert found["FULLY_CONNECTED"] == {"Weights with a scale for each output are not supported"}
    assert found["SOFTMAX"] == {BEHIND}


def test_a_float_entry_stays_on_the_processor(net: Net) -> None:
    """An operator before all that is mapped splits nothing."""
    from ai_edge_litert.schema_py_generated import TensorType

    model = unpack_model(per_tensor_dense(net.int8))
    graph = model.subgraphs[0]
    source = graph.tensors[graph.inputs[0]]
    source.type, source.quantization = TensorType.FLOAT32, None
    found = statuses(pack_model(model))
    assert found["CONV_2D"] == {MAPPED}
    assert any("unsupported data type (float32)" in status for status in found["QUANTIZE"])


@pytest.mark.parametrize(
    ("name", "change", "status"),
    [
        ("CONV_2D", {"dilationWFactor": 2}, "Dilations of x and y differ"),
        ("FULLY_CONNECTED", {"weightsFormat": 1}, "Only the default format of weights is supported"),
    ],
)
def test_limits_of_options(net: Net, name: str, change: dict[str, int], status: str) -> None:
    model = unpack_model(per_tensor_dense(net.int8))
    codes = [code_name(code) for code in model.operatorCodes]
    operator = next(op for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == name)
    vars(operator.builtinOptions).update(change)
    assert status in statuses(pack_model(model))[name]


def test_limits_of_tensors(net: Net) -> None:
    for change, status in (
        ({"version": 99}, "Operation version not supported"),
        ({"shapeSignature": np.array([-1, 24, 24, 3], np.int32)}, "only known when the model runs"),
        ({"shape": np.array([2, 24, 24, 3], np.int32)}, "more than three dimensions"),
    ):
        model = unpack_model(per_tensor_dense(net.int8))
        graph = model.subgraphs[0]
        if "version" in change:
            model.operatorCodes[graph.operators[0].opcodeIndex].version = 99
        else:
            vars(graph.tensors[graph.operators[0].inputs[0]]).update(change)
        found = {word for words in statuses(pack_model(model)).values() for word in words}
        assert any(status in word for word in found)


@pytest.mark.parametrize(
    ("name", "shape", "axes", "status"),
    [
        ("MEAN", (1, 12, 12, 6), (3, 3), "A reduction along z needs a multiple of 4"),
        ("MEAN", (1, 12, 12, 8), (0, 1), "The batch dimension is not supported"),
        ("FULLY_CONNECTED", (2, 5), None, "The output must be one-dimensional"),
        ("SOFTMAX", (1, 16001), None, "Only one dimension of at most 16000 elements is supported"),
    ],
)
def test_limits_of_shapes(
    net: Net, name: str, shape: tuple[int, ...], axes: tuple[int, ...] | None, status: str
) -> None:
    model = unpack_model(per_tensor_dense(net.int8))
    graph = model.subgraphs[0]
    codes = [code_name(code) for code in model.operatorCodes]
    operator = next(op for op in graph.operators if codes[op.opcodeIndex] == name)
    changed = operator.outputs[0] if name == "FULLY_CONNECTED" else operator.inputs[0]
    graph.tensors[changed].shape = np.array(shape, np.int32)
    if axes is not None:
        buffer = model.buffers[graph.tensors[operator.inputs[1]].buffer]
        assert buffer.data.view("<i4").tolist() == [1, 2]
        buffer.data = np.array(axes, "<i4").view(np.uint8)
    found = {entry.name: entry.status for entry in predict(model)}
    assert found[name] == status
