from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from runtime.errors import ModelError
from runtime.model_file import ModelFile, OperatorUse, TensorInfo
from tests.runtime.model_parts import OPERATOR, TENSOR, buffer, chain, code, pack, strides

REAL = ["mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v2_1.0_224_quant.tflite"]


@pytest.mark.parametrize("name", REAL)
def test_real_files_read_as_the_schema_package_reads_them(thirdparty: Path, name: str) -> None:
    path = thirdparty / name
    expected = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = expected.subgraphs[0]
    model = ModelFile.read(path)
    assert (model.schema_version, model.description) == (3, expected.description.decode())
    assert model.size == path.stat().st_size
    for found, indices in ((model.inputs, graph.inputs), (model.outputs, graph.outputs)):
        for info, wanted in zip(found, [graph.tensors[index] for index in indices], strict=True):
            assert info.name == wanted.name.decode()
            assert info.shape == info.shape_signature == tuple(wanted.shape)
            assert info.scales == pytest.approx(tuple(wanted.quantization.scale))
            assert info.zero_points == tuple(wanted.quantization.zeroPoint)
            assert info.dtype == "uint8"
    assert sum(use.count for use in model.operators) == len(graph.operators)
    assert model.output_is_probability is True
    assert model.min_runtime_version == "1.5.0"
    blobs = {entry.name: bytes(expected.buffers[entry.buffer].data) for entry in expected.metadata}
    assert model.metadata_blob == blobs[b"TFLITE_METADATA"]


def test_the_model_that_fails_when_invoked_can_be_read(thirdparty: Path) -> None:
    model = ModelFile.read(thirdparty / "model_invoking_error.tflite")
    assert model.inputs == (TensorInfo("", (1, 3), (1, 3), "uint8"),)
    assert model.outputs == (TensorInfo("", (), (), "float32"),)
    assert model.operators == (OperatorUse("fake-op-double", 1, 1, custom=True),)
    assert model.output_is_probability is None


def test_a_model_made_here(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.CONV_2D, 3), code(OPERATOR.GELU, 2), code(OPERATOR.CUSTOM, 1, "MyOp"))
    made.operatorCodes += [code(OPERATOR.RELU, 2), code(300)]
    made.subgraphs[0].tensors[0].shapeSignature = [-1, 4]
    made.subgraphs[0].operators[0].inputs = [0, 4, -1]
    strides(made.subgraphs[0].operators[0])
    assert (model := read(made)).inputs == (TensorInfo("t0", (1, 4), (-1, 4), "float32"),)
    assert model.operators == (
        OperatorUse("BUILTIN_300", 1, 0),
        OperatorUse("CONV_2D", 3, 1),
        OperatorUse("GELU", 2, 1),
        OperatorUse("MyOp", 1, 1, custom=True),
        OperatorUse("RELU", 2, 0),
    )
    assert (model.min_runtime_version, model.metadata_blob) == (None, None)


def test_operators_of_files_older_than_the_wide_code(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(0))
    made.operatorCodes[0].deprecatedBuiltinCode = OPERATOR.SOFTMAX
    assert read(made).operators == (OperatorUse("SOFTMAX", 1, 1),)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["SOFTMAX"], True),
        (["LOGISTIC", "QUANTIZE"], True),
        (["SOFTMAX", "RESHAPE", "SQUEEZE", "CAST", "DEQUANTIZE"], True),
        (["SOFTMAX", "FULLY_CONNECTED"], False),
        (["FULLY_CONNECTED", "QUANTIZE"], False),
        (["SOFTMAX", "CUSTOM"], None),
        (["CUSTOM", "SOFTMAX"], True),
        (["WHILE", "RESHAPE"], None),
        (["RESHAPE"], None),
        ([], None),
    ],
)
def test_whether_the_output_is_a_probability(
    read: Callable[[Any], ModelFile], names: list[str], expected: bool | None
) -> None:
    assert read(chain(*(code(getattr(OPERATOR, name)) for name in names))).output_is_probability is expected


def spoil(path: str, value: Any) -> Callable[[Any], None]:
    """Sets one attribute deep in a model, such as ``subgraphs.0.inputs``."""

    def change(model: Any) -> None:
        *steps, last = path.split(".")
        for step in steps:
            model = model[int(step)] if step.isdigit() else getattr(model, step)
        setattr(model, last, value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("subgraphs", []), "has no subgraph"),
        (spoil("subgraphs.0.inputs", []), "0 inputs and 1 outputs"),
        (spoil("subgraphs.0.outputs", []), "1 inputs and 0 outputs"),
        (spoil("subgraphs.0.inputs", [3]), "an input is tensor 3, the subgraph has 3"),
        (spoil("subgraphs.0.outputs", [-1]), "an output is tensor -1"),
        (spoil("subgraphs.0.operators.0.inputs", [99]), "an input of RELU is tensor 99"),
        (spoil("subgraphs.0.operators.0.outputs", [-2]), "an output of RELU is tensor -2"),
        (spoil("subgraphs.0.operators.0.intermediates", [9]), "an intermediate of RELU is tensor 9"),
        (spoil("subgraphs.0.operators.0.inputs", [-1]), "input 0 of an operator RELU is left out"),
        (spoil("subgraphs.0.operators.0.inputs", [1]), "tensor 1, input 0 of an operator RELU, has no numbers by then"),
        (spoil("subgraphs.0.operators.0.outputs", [2]), "an output of RELU is tensor 2, which is a constant"),
        (spoil("subgraphs.0.inputs", [2]), "an input is tensor 2, which is a constant"),
        (spoil("subgraphs.0.operators.0.opcodeIndex", 7), "code index 7, the file lists 1"),
        (spoil("subgraphs.0.tensors.0.buffer", 2), "tensor 0 has buffer index 2, the file lists 2"),
        (spoil("subgraphs.0.tensors.1.shape", [1, -4]), r"negative dimension in its shape \(1, -4\)"),
        (spoil("subgraphs.0.tensors.1.shape", [65536, 65536]), "more than 2147483647 elements"),
        (spoil("subgraphs.0.tensors.1.shape", [1] * 65), "more than 2147483647 elements"),
        (spoil("subgraphs.0.tensors.2.shape", [2, 4]), r"int8\[2, 4\], has 6 bytes, not 8"),
        (spoil("subgraphs.0.tensors.2.type", TENSOR.FLOAT32), "has 6 bytes, not 24"),
        (spoil("subgraphs.0.tensors.2.type", 99), "tensor type 99 does not exist"),
        (spoil("buffers.1", buffer(offset=4000, size=6)), "buffer 1 ends at byte 4006"),
        (spoil("operatorCodes.0.builtinCode", -3), "operator code -3 does not exist"),
    ],
)
def test_what_would_crash_an_interpreter_is_refused(
    read: Callable[[Any], ModelFile], change: Callable[[Any], None], message: str
) -> None:
    made = chain(code(OPERATOR.RELU))
    if "operator code" in message:
        made.operatorCodes[0].deprecatedBuiltinCode = -3
    if "buffer 1 ends" in message:
        made.buffers[1] = buffer(offset=4000, size=6)
    else:
        change(made)
    with pytest.raises(ModelError, match=message) as caught:
        read(made)
    assert str(caught.value).endswith("; copy or download it again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "stored"), [("INT4", 3), ("INT4", 6), ("INT2", 2), ("STRING", 5)])
def test_constants_of_other_widths(read: Callable[[Any], ModelFile], kind: str, stored: int) -> None:
    made = chain(code(OPERATOR.RELU))
    made.subgraphs[0].tensors[2].type = getattr(TENSOR, kind)
    made.buffers[1] = buffer(bytes(stored))
    assert read(made).size > 0


def test_a_constant_behind_the_flatbuffer(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.RELU))
    made.buffers[1] = buffer(offset=2048, size=6)
    data = pack(made)
    assert read(data + bytes(2054 - len(data))).size == 2054
    with pytest.raises(ModelError, match="ends at byte 2054, the file has 2053"):
        read(data + bytes(2053 - len(data)))


def test_a_wrong_number_of_zero_points(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.RELU))
    made.subgraphs[0].tensors[0].quantization = quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [0.5], [1, 2]
    with pytest.raises(ModelError, match="1 scales and 2 zero points"):
        read(made)
    quantization.zeroPoint = None
    assert read(made).inputs[0].zero_points == (0,)


def test_a_truncated_file(thirdparty: Path, read: Callable[[Any], ModelFile]) -> None:
    data = (thirdparty / REAL[0]).read_bytes()
    for percent in range(1, 95):
        with pytest.raises(ModelError, match="is cut short or damaged: .*; copy or download it again"):
            read(data[: len(data) * percent // 100])


def mutate(data: bytes, rng: random.Random, reach: int) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        position = rng.randrange(min(reach, len(changed)))
        width = rng.choice((1, 4))
        value = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, rng.randrange(2**32), rng.randrange(64)))
        changed[position : position + width] = value.to_bytes(4, "little")[:width]
    if rng.random() < 0.1:
        del changed[rng.randrange(1, len(changed)) :]
    return bytes(changed)


@pytest.mark.parametrize(("name", "rounds"), [("model_invoking_error.tflite", 3000), ("made", 3000), (REAL[0], 500)])
def test_mutations_raise_nothing_but_model_errors(
    thirdparty: Path, read: Callable[[Any], ModelFile], name: str, rounds: int
) -> None:
    made = chain(code(OPERATOR.CONV_2D, 3), code(OPERATOR.GELU, 2), code(OPERATOR.SOFTMAX))
    sound = pack(made) if name == "made" else (thirdparty / name).read_bytes()
    rng, refused = random.Random(7), 0
    for data in (mutate(sound, rng, reach=40_000) for _ in range(rounds)):
        try:
            read(data)
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > rounds / 10


def test_weights_are_not_copied(tmp_path: Path) -> None:
    made = chain(code(OPERATOR.RELU))
    made.subgraphs[0].tensors[2].shape = [20_000_000]
    made.buffers[1] = buffer(bytes(20_000_000))
    path = tmp_path / "large.tflite"
    path.write_bytes(pack(made))
    tracemalloc.start()
    try:
        ModelFile.read(path)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_a_file_system_that_cannot_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("no such device")

    path = tmp_path / "model.tflite"
    path.write_bytes(pack(chain(code(OPERATOR.RELU))))
    mapped = ModelFile.read(path)
    monkeypatch.setattr("runtime.file_kind.mmap.mmap", refuse)
    assert ModelFile.read(path) == mapped
