from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from runtime.model_file import ModelFile, OperatorUse
from runtime.op_names import CUSTOM_CODE, OPERATOR_NAMES, TENSOR_TYPES, operator_name
from runtime.op_versions import first_release, release_key, required_runtime, too_new_for

MAX_VERSION = 18

# Reads models from standard input, each as a length and bytes; prints the positions of those that load.
LOADER = """
import json, sys
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter
data, position, number, loaded = sys.stdin.buffer.read(), 0, 0, []
while position < len(data):
    size = int.from_bytes(data[position : position + 4], "little")
    try:
        Interpreter(model_content=data[position + 4 : position + 4 + size])
        loaded.append(number)
    except ValueError:
        pass
    position, number = position + 4 + size, number + 1
print(json.dumps(loaded))
"""


def model_bytes(code: int, version: int) -> bytes:
    """A model that lists one operator and uses none: the interpreter resolves every operator listed."""
    operator = schema.OperatorCodeT()
    operator.builtinCode, operator.deprecatedBuiltinCode, operator.version = code, min(code, 127), version
    tensor = schema.TensorT()
    tensor.shape = [1]
    graph = schema.SubGraphT()
    graph.tensors, graph.inputs, graph.outputs, graph.operators = [tensor], [0], [0], []
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [operator], [graph]
    model.buffers = [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def accepted(python: str) -> set[tuple[str, int]]:
    """The (operator, version) pairs that the interpreter of a Python loads."""
    pairs = [
        (code, version)
        for code in range(len(OPERATOR_NAMES))
        if code != CUSTOM_CODE
        for version in range(1, MAX_VERSION + 1)
    ]
    models = [model_bytes(*pair) for pair in pairs]
    stream = b"".join(len(model).to_bytes(4, "little") + model for model in models)
    done = subprocess.run([python, "-c", LOADER], input=stream, capture_output=True, check=True, timeout=120)
    loaded = json.loads(done.stdout.splitlines()[-1])
    return {(OPERATOR_NAMES[pairs[number][0]], pairs[number][1]) for number in loaded}


def table() -> dict[tuple[str, int], tuple[int, int, int]]:
    pairs = ((name, version) for name in OPERATOR_NAMES for version in range(1, MAX_VERSION + 1))
    return {pair: release_key(release) for pair in pairs if (release := first_release(*pair)) is not None}


def model(*operators: OperatorUse) -> ModelFile:
    return ModelFile(Path("m.tflite"), 0, 3, "", (), (), operators, None)


def test_names_are_those_of_the_schema() -> None:
    codes = {name: code for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    assert {name: code for code, name in enumerate(OPERATOR_NAMES)} == codes
    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if not name.startswith("_")}
    assert {value: name for value, (name, _) in enumerate(TENSOR_TYPES)} == types
    assert operator_name(3) == "CONV_2D"
    assert operator_name(4711) == "BUILTIN_4711"


def test_known_facts() -> None:
    assert first_release("FULLY_CONNECTED", 12) == "2.17.0"
    assert first_release("TILE", 1) == "1.10.1"
    assert first_release("BROADCAST_TO", 1) is None
    assert first_release("BROADCAST_TO", 2) == "2.5.0"
    assert first_release("CONV_2D", 99) is None


def test_releases_never_fall_with_the_version() -> None:
    facts = table()
    for (name, version), release in facts.items():
        assert facts.get((name, version - 1), (0, 0, 0)) <= release


def test_litert_accepts_what_the_table_names() -> None:
    pytest.importorskip("ai_edge_litert.interpreter")
    # The one pair the source names and LiteRT 2.3 has no kernel for.
    assert set(table()) - accepted(sys.executable) <= {("STABLEHLO_CBRT", 1)}


def test_the_table_is_whole_for_tflite_runtime_2_14(floor_python: Path) -> None:
    assert accepted(str(floor_python)) == {pair for pair, release in table().items() if release <= (2, 14, 0)}


def test_required_runtime_of_real_models(thirdparty: Path) -> None:
    required = required_runtime(ModelFile.read(thirdparty / "mobilenet_v2_1.0_224_quant.tflite"))
    assert required.version == "1.5.0"
    assert (required.unknown, required.custom) == ((), ())
    required = required_runtime(ModelFile.read(thirdparty / "model_invoking_error.tflite"))
    assert required.version is None
    assert [op.name for op in required.custom] == ["fake-op-double"]


def test_required_runtime_names_what_demands_it_and_what_it_does_not_know() -> None:
    dense, relu = OperatorUse("FULLY_CONNECTED", 12, 1), OperatorUse("RELU", 1, 4)
    future, custom = OperatorUse("CONV_2D", 99, 1), OperatorUse("FlexErf", 1, 1, custom=True)
    required = required_runtime(model(dense, relu, future, custom))
    assert required.version == "2.17.0"
    assert required.demanded_by == (dense,)
    assert required.unknown == (future,)
    assert required.custom == (custom,)


def test_too_new_for() -> None:
    dense, relu = OperatorUse("FULLY_CONNECTED", 12, 1), OperatorUse("RELU", 1, 4)
    future, custom = OperatorUse("CONV_2D", 99, 1), OperatorUse("FlexErf", 1, 1, custom=True)
    sample = model(dense, relu, future, custom)
    assert too_new_for(sample, "2.14.0") == [dense, future]
    assert too_new_for(sample, "2.14") == [dense, future]
    assert too_new_for(sample, "2.16.1") == [dense]
    assert too_new_for(sample, "2.17.0") == []
    # 2.4.x came long before 2.14: releases are numbers, not text.
    assert too_new_for(model(OperatorUse("CONV_2D", 7, 1)), "2.4.0")


def test_release_key() -> None:
    assert release_key("2.14.0-rc1") == release_key("2.14") == (2, 14, 0)
    with pytest.raises(ValueError, match="2.14.0 was expected, not 'new'"):
        release_key("new")
