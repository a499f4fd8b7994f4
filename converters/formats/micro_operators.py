"""What TensorFlow Lite Micro can run: its operators, and the types its kernels take.

Names are those of the methods of ``MicroMutableOpResolver``,
https://github.com/tensorflow/tflite-micro/blob/main/tensorflow/lite/micro/micro_mutable_op_resolver.h
"""

from __future__ import annotations

from typing import Any

from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.op_names import CUSTOM_CODE, TENSOR_TYPES, operator_name

_METHODS = """
    Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchMatMul BatchToSpaceNd BroadcastArgs BroadcastTo
    CallOnce Cast Ceil Concatenation Conv2D Cos CumSum DepthToSpace DepthwiseConv2D Dequantize Div
    DynamicUpdateSlice Elu EmbeddingLookup Equal Exp ExpandDims Fill Floor FloorDiv FloorMod FullyConnected
    Gather GatherNd Greater GreaterEqual HardSwish If L2Normalization L2Pool2D LeakyRelu Less LessEqual Log
    LogicalAnd LogicalNot LogicalOr Logistic LogSoftmax Maximum MaxPool2D Mean Minimum MirrorPad Mul Neg NotEqual
    Pack Pad PadV2 Prelu Quantize ReadVariable ReduceAll ReduceMax ReduceMin Relu Relu6 Reshape ResizeBilinear
    ResizeNearestNeighbor ReverseV2 Round Rsqrt SelectV2 Shape Sin Slice Softmax SpaceToBatchNd SpaceToDepth
    Split SplitV Sqrt Square SquaredDifference Squeeze StridedSlice Sub Sum Svdf Tanh Transpose TransposeConv
    UnidirectionalSequenceLSTM Unpack VarHandle While ZerosLike
"""
_BY_LETTERS = {method.lower(): f"Add{method}" for method in _METHODS.split()}

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def code_name(code: Any) -> str:
    """Name of an ``OperatorCodeT``."""
    # The older field is a byte and holds 127 for every later operator; older files lack the newer field.
    number = int(max(code.builtinCode, code.deprecatedBuiltinCode))
    if number == CUSTOM_CODE:
        return shown(str((code.customCode or b"CUSTOM").decode(errors="replace")))
    return operator_name(number)


def type_name(tensor: Any) -> str:
    """Such as ``int8``."""
    name, _ = TENSOR_TYPES[int(tensor.type)]
    return name


def registering_methods(model: Any) -> list[str]:
    """The resolver's methods that register the model's operators, each once, sorted.

    Args:
        model: a ``ModelT``.

    Raises:
        ModelError: an operator or a mixture of types that TensorFlow Lite Micro has no kernel for.
    """
    names = [code_name(code) for code in model.operatorCodes]
    used = sorted({names[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators or ()})
    missing = [name for name in used if name.replace("_", "").lower() not in _BY_LETTERS]
    if missing:
        raise ModelError(
            f"TensorFlow Lite Micro has no operator {', '.join(missing)}: "
            "take an architecture without it (toolkit architectures)"
        )
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            _check_types(names[operator.opcodeIndex], [graph.tensors[i] for i in operator.inputs if i >= 0])
    return sorted(_BY_LETTERS[name.replace("_", "").lower()] for name in used)


def _check_types(name: str, inputs: list[Any]) -> None:
    types = [type_name(tensor) for tensor in inputs]
    if "float16" in types:
        raise ModelError(
            "TensorFlow Lite Micro has no kernels for float16 weights: take the float32 or the int8 file for c-array"
        )
    if name in _WEIGHTED and types[0] == "float32" and types[1] != "float32":
        raise ModelError(
            f"TensorFlow Lite Micro has no kernel for {name} of float32 values with {types[1]} weights "
            "(dynamic range): take the float32 or the int8 file for c-array"
        )
