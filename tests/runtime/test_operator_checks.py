from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from runtime.errors import ModelError
from runtime.model_file import ModelFile, OperatorUse
from tests.runtime.model_parts import OPERATOR, TENSOR, buffer, chain, code, pack, scaled, strides


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("strideW", 0, "a stride, dilation or size of 0"),
        ("strideH", -1, "a stride, dilation or size of -1"),
        ("dilationHFactor", 65536, "a stride, dilation or size of 65536"),
        (None, None, "CONV_2D has no options of its kind"),
    ],
)
def test_options_that_a_kernel_divides_by(
    read: Callable[[Any], ModelFile], field: str | None, value: int, message: str
) -> None:
    made = chain(code(OPERATOR.CONV_2D))
    convolution = made.subgraphs[0].operators[0]
    convolution.inputs = [0, 2]
    strides(convolution)
    assert read(made).operators == (OperatorUse("CONV_2D", 1, 1),)
    if field:
        setattr(convolution.builtinOptions, field, value)
    else:
        convolution.builtinOptionsType = schema.BuiltinOptions.Pool2DOptions
    with pytest.raises(ModelError, match=message):
        read(made)


def test_a_shape_that_is_none(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.RESHAPE))
    made.subgraphs[0].operators[0].inputs = [0, 2]
    with pytest.raises(ModelError, match="RESHAPE takes its shape or axes from a tensor of 6 int8"):
        read(made)
    made.subgraphs[0].tensors[2].type, made.subgraphs[0].tensors[2].shape = TENSOR.INT32, [9]
    made.buffers[1] = buffer(bytes(36))
    with pytest.raises(ModelError, match="from a tensor of 9 int32"):
        read(made)


def test_a_depthwise_convolution_without_its_bias(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.DEPTHWISE_CONV_2D))
    convolution = made.subgraphs[0].operators[0]
    convolution.inputs = [0, 2, 2]
    options = schema.DepthwiseConv2DOptionsT()
    options.strideW = options.strideH = 1
    convolution.builtinOptionsType, convolution.builtinOptions = schema.BuiltinOptions.DepthwiseConv2DOptions, options
    read(made)
    convolution.inputs = [0, 2]
    with pytest.raises(ModelError, match="an operator DEPTHWISE_CONV_2D has 2 inputs"):
        read(made)
    convolution.inputs = [0, 2, -1]
    with pytest.raises(ModelError, match="input 2 of an operator DEPTHWISE_CONV_2D is left out"):
        read(made)


@pytest.mark.parametrize(("name", "least"), [("SPLIT", 2), ("SLICE", 3), ("BATCH_MATMUL", 2)])
def test_operators_that_do_not_count_their_inputs(read: Callable[[Any], ModelFile], name: str, least: int) -> None:
    made = chain(code(getattr(OPERATOR, name)))
    tensors = made.subgraphs[0].tensors
    for one in tensors:
        one.type = TENSOR.INT32
    tensors[2].shape = [1]
    options = schema.SplitOptionsT()
    options.numSplits = 1
    made.subgraphs[0].operators[0].builtinOptionsType = schema.BuiltinOptions.SplitOptions
    made.subgraphs[0].operators[0].builtinOptions = options
    made.buffers[1] = buffer(bytes(4))
    made.subgraphs[0].operators[0].inputs = [2] * least
    read(made)
    made.subgraphs[0].operators[0].inputs = [2] * (least - 1)
    with pytest.raises(ModelError, match=f"an operator {name} has {least - 1} inputs"):
        read(made)


def test_a_split_makes_as_many_tensors_as_it_has_outputs(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.UNPACK))
    with pytest.raises(ModelError, match="UNPACK has no options of its kind"):
        read(made)
    options = schema.UnpackOptionsT()
    made.subgraphs[0].operators[0].builtinOptionsType = schema.BuiltinOptions.UnpackOptions
    made.subgraphs[0].operators[0].builtinOptions = options
    options.num = 2
    with pytest.raises(ModelError, match="UNPACK makes 2 tensors and has 1 outputs"):
        read(made)
    options.num = 1
    read(made)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scale", [0.0], "tensor 0 has a quantisation scale that no model has"),
        ("scale", [-1.0], "tensor 0 has a quantisation scale"),
        ("scale", [float("nan")], "tensor 0 has a quantisation scale"),
        ("scale", [float("inf")], "tensor 0 has a quantisation scale"),
        ("zeroPoint", [256], "tensor 0 has a zero point that is no uint8"),
        ("zeroPoint", [-1], "tensor 0 has a zero point that is no uint8"),
        ("scale", [], "an operator LOGISTIC cannot work on tensor 0, uint8 without a scale"),
    ],
)
def test_quantisation_that_kernels_abort_on(
    read: Callable[[Any], ModelFile], field: str, value: list[float], message: str
) -> None:
    made = chain(code(OPERATOR.LOGISTIC))
    for one in made.subgraphs[0].tensors[:2]:
        scaled(one).type = TENSOR.UINT8
    read(made)
    setattr(made.subgraphs[0].tensors[0].quantization, field, value)
    with pytest.raises(ModelError, match=message):
        read(made)


def test_a_channel_dimension_that_is_not_there(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.RELU))
    constant = made.subgraphs[0].tensors[2].quantization
    constant.scale, constant.zeroPoint, constant.quantizedDimension = [0.5, 0.5], [0, 0], 1
    read(made)
    constant.quantizedDimension = 2
    with pytest.raises(ModelError, match="tensor 2 is quantised along a dimension that it does not have"):
        read(made)


def test_kinds_of_numbers_that_do_not_go_together(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.SOFTMAX))
    made.subgraphs[0].tensors[1].type = TENSOR.BOOL
    with pytest.raises(ModelError, match="SOFTMAX makes bool of float32"):
        read(made)
    made.subgraphs[0].tensors[1].type = TENSOR.STRING
    with pytest.raises(ModelError, match="SOFTMAX cannot work on tensor 1, which is of kind string"):
        read(made)


def test_signatures(read: Callable[[Any], ModelFile]) -> None:
    made = chain(code(OPERATOR.RELU))
    entry, signature = schema.TensorMapT(), schema.SignatureDefT()
    entry.name, entry.tensorIndex = "picture", 2
    signature.inputs, signature.signatureKey, signature.subgraphIndex = [entry], "serving_default", 0
    made.signatureDefs = [signature]
    read(made)
    entry.tensorIndex = 3
    with pytest.raises(ModelError, match="a signature's tensor is tensor 3, the subgraph has 3"):
        read(made)
    signature.subgraphIndex = 1
    with pytest.raises(ModelError, match="a signature has subgraph 1, the file lists 1"):
        read(made)


def test_a_name_that_is_no_text(read: Callable[[Any], ModelFile]) -> None:
    data = pack(chain(code(OPERATOR.RELU)))
    assert data.count(b"t0\0") == 1
    with pytest.raises(ModelError, match="the name of an input or output is no UTF-8 text"):
        read(data.replace(b"t0\0", b"t\xff\0"))
