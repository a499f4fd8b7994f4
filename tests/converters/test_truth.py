from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.flatbuffer_model import pack_model, unpack_model
from converters.truth import kind_of, require_true, wrong_parts
from runtime.errors import ModelError
from tests.converters import small_nets
from tests.converters.small_nets import Net
from tests.runtime.tiny_models import mean_colour_model

TYPE = schema.TensorType
QUANTIZE, DEQUANTIZE = schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE
WHOLE = {"scale": 0.5, "zero_point": 3}


def whole(dtype: str = "uint8") -> bytes:
    return mean_colour_model(dtype, **WHOLE, then="SOFTMAX")


def add_operator(contents: Any, code: int, source: int, target: int, first: bool) -> None:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = len(contents.operatorCodes), [source], [target]
    operator_code = schema.OperatorCodeT()
    operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
    contents.operatorCodes.append(operator_code)
    operators = contents.subgraphs[0].operators
    operators.insert(0 if first else len(operators), operator)


def add_tensor(contents: Any, name: str, kind: int, shape: list[int]) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.shape = name, kind, shape
    contents.subgraphs[0].tensors.append(tensor)
    return len(contents.subgraphs[0].tensors) - 1


def with_float_ends(model: bytes) -> bytes:
    """Float input behind which QUANTIZE stands, float output from DEQUANTIZE: what --io float32 gives."""
    contents = unpack_model(model)
    graph = contents.subgraphs[0]
    start = add_tensor(contents, "float_in", TYPE.FLOAT32, [1, 8, 8, 3])
    end = add_tensor(contents, "float_out", TYPE.FLOAT32, [1, 3])
    add_operator(contents, QUANTIZE, start, int(graph.inputs[0]), first=True)
    add_operator(contents, DEQUANTIZE, int(graph.outputs[0]), end, first=False)
    graph.inputs, graph.outputs = [start], [end]
    return pack_model(contents)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_an_integer_model(dtype: str) -> None:
    model = whole(dtype)
    assert not wrong_parts(model, "int8")
    assert not wrong_parts(model, "int8", dtype)
    assert kind_of(model) == "int8"
    require_true("x_int8.tflite", model, "int8", dtype)


def test_other_kinds_promise_nothing() -> None:
    for kind in ("float32", "float16", "dynamic", "mixed"):
        assert not wrong_parts(mean_colour_model(), kind)


def test_a_float_model_is_no_int8_model() -> None:
    model = mean_colour_model(then="SOFTMAX")
    wrong = wrong_parts(model, "int8")
    assert wrong.tensors == (
        "pixels (float32, 1 x 8 x 8 x 3)",
        "mean (float32, 1 x 3)",
        "scores (float32, 1 x 3)",
    )
    assert wrong.operators == ("MEAN giving mean", "SOFTMAX giving scores")
    with pytest.raises(ModelError) as caught:
        require_true("花_int8.tflite", model, "int8")
    assert str(caught.value) == f"花_int8.tflite is no int8 model: it holds {wrong}"
    assert kind_of(model) == "float32"


def test_only_the_ends_may_be_float_and_only_where_that_was_asked_for() -> None:
    model = with_float_ends(whole())
    assert not wrong_parts(model, "int8")
    assert not wrong_parts(model, "int8", "float32")
    assert wrong_parts(model, "int8", "uint8").tensors == (
        "float_in (float32, 1 x 8 x 8 x 3)",
        "float_out (float32, 1 x 3)",
    )
    assert wrong_parts(whole(), "int8", "float32").tensors[0].startswith("pixels (uint8")
    assert kind_of(model) == "int8"


def test_a_float_layer_at_the_end_is_no_end() -> None:
    """A float output counts as an end only if DEQUANTIZE writes it, not if a layer computes it in float."""
    contents = unpack_model(whole())
    contents.subgraphs[0].tensors[3].type = TYPE.FLOAT32
    model = pack_model(contents)
    assert wrong_parts(model, "int8").operators == ("SOFTMAX giving scores",)
    assert kind_of(model) == "mixed"


def test_a_float_input_that_a_layer_reads() -> None:
    contents = unpack_model(with_float_ends(whole()))
    graph = contents.subgraphs[0]
    spare = add_tensor(contents, "spare", TYPE.FLOAT32, [1, 8, 8, 3])
    add_operator(contents, schema.BuiltinOperator.RELU, int(graph.inputs[0]), spare, first=False)
    wrong = wrong_parts(pack_model(contents), "int8")
    assert wrong.operators == ("QUANTIZE giving pixels", "RELU giving spare")
    assert len(wrong.tensors) == 2


def test_a_float_tensor_that_nothing_uses_counts_too() -> None:
    contents = unpack_model(whole())
    add_tensor(contents, "left_over", TYPE.FLOAT16, [7])
    assert wrong_parts(pack_model(contents), "int8").tensors == ("left_over (float16, 7)",)


def test_sixteen_bits_are_not_eight() -> None:
    contents = unpack_model(with_float_ends(whole("int8")))
    for tensor in contents.subgraphs[0].tensors[:1] + contents.subgraphs[0].tensors[2:4]:
        tensor.type = TYPE.INT16
    model = pack_model(contents)
    assert len(wrong_parts(model, "int8").tensors) == 3
    assert not wrong_parts(model, "int16x8")
    assert kind_of(model) == "int16x8"


def test_many_parts_are_counted_not_listed() -> None:
    contents = unpack_model(whole())
    for number in range(40):
        add_tensor(contents, f"{'x' * 70}{number};joined", TYPE.FLOAT32, [])
    text = str(wrong_parts(pack_model(contents), "int8"))
    assert text.startswith("40 tensors: ...xxx")
    assert text.endswith(" and 37 more")
    assert len(text) < 300


def test_weights_tell_float16_and_dynamic_files_apart() -> None:
    def weighted(kind: int, size: int) -> bytes:
        contents = unpack_model(mean_colour_model())
        index = add_tensor(contents, "weights", kind, [2000])
        buffer = schema.BufferT()
        buffer.data = np.zeros(2000 * size, np.uint8)
        contents.buffers.append(buffer)
        contents.subgraphs[0].tensors[index].buffer = len(contents.buffers) - 1
        return pack_model(contents)

    assert kind_of(weighted(TYPE.FLOAT16, 2)) == "float16"
    assert kind_of(weighted(TYPE.INT8, 1)) == "dynamic"
    assert kind_of(weighted(TYPE.FLOAT32, 4)) == "float32"


def test_files_of_others(thirdparty: Path) -> None:
    for name in ("mobilenet_v1_0.25_128_quant.tflite", "mobilenet_v2_1.0_224_quant.tflite"):
        assert kind_of((thirdparty / name).read_bytes()) == "int8"
    assert kind_of((thirdparty / "model_invoking_error.tflite").read_bytes()) == "mixed"
    with pytest.raises(ModelError):
        kind_of(b"no model at all")


@pytest.fixture(scope="module")
def net() -> Net:
    pytest.importorskip("tensorflow")
    return small_nets.make("hard_swish")


def test_what_tensorflow_writes(net: Net) -> None:
    assert kind_of(net.int8) == "int8"
    assert not wrong_parts(net.int8, "int8", "uint8")
    assert kind_of(net.float32) == "float32"
