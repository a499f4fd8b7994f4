"""Checks on operators: their options, and where each of their inputs gets its numbers from.

Found as the rules of ``model_checks`` were. Only what crashes an interpreter is refused here; the rest is left to it.
"""

from __future__ import annotations

from runtime.errors import ModelError
from runtime.flatbuffer import Table

# Options without which a kernel divides by zero, or counts past its 16 bits: operator -> (number of the options in the
# union ``BuiltinOptions``, fields that must be 1 to ``_MAX_STEP``: strides, dilations (with their default), filter and
# block sizes).
_OPTIONS: dict[str, tuple[int, tuple[tuple[int, int], ...]]] = {
    "CONV_2D": (1, ((1, 0), (2, 0), (4, 1), (5, 1))),
    "DEPTHWISE_CONV_2D": (2, ((1, 0), (2, 0), (5, 1), (6, 1))),
    "AVERAGE_POOL_2D": (5, ((1, 0), (2, 0), (3, 0), (4, 0))),
    "MAX_POOL_2D": (5, ((1, 0), (2, 0), (3, 0), (4, 0))),
    "L2_POOL_2D": (5, ((1, 0), (2, 0), (3, 0), (4, 0))),
    "SPACE_TO_DEPTH": (19, ((0, 0),)),
    "TRANSPOSE_CONV": (49, ((1, 0), (2, 0))),
    "DEPTH_TO_SPACE": (94, ((0, 0),)),
    "CONV_3D": (106, ((1, 0), (2, 0), (3, 0), (5, 1), (6, 1), (7, 1))),
    "CONV_3D_TRANSPOSE": (106, ((1, 0), (2, 0), (3, 0), (5, 1), (6, 1), (7, 1))),
}
# The depthwise kernel of tflite-runtime keeps dilations in 16 bits.
_MAX_STEP = 2**15 - 1
# Of these the first option is the padding: SAME or VALID.
_PADDED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D", "TRANSPOSE_CONV"})
# Operators that write as many outputs as an option says: operator -> (number of the options, the field).
_COUNTED = {"SPLIT": (35, 0), "SPLIT_V": (79, 0), "UNPACK": (64, 0)}

# Inputs that may be left out; none of other operators may, but of recurrent and custom ones.
_OPTIONAL: dict[str, frozenset[int]] = {
    "CONV_2D": frozenset({2}),
    "FULLY_CONNECTED": frozenset({2}),
    "TRANSPOSE_CONV": frozenset({3}),
    "CONV_3D": frozenset({2}),
    "CONV_3D_TRANSPOSE": frozenset({3}),
}
# The least number of inputs of operators that do not count them themselves.
_LEAST_INPUTS = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
    "ASSIGN_VARIABLE": 2,
    "BATCH_MATMUL": 2,
    "SLICE": 3,
    "SPLIT": 2,
    "SPLIT_V": 3,
}
_MANY_OPTIONAL = ("LSTM", "RNN", "SVDF", "STABLEHLO", "BUILTIN_", "CUSTOM", "VHLO")

# Inputs that say a shape, axes or the like, in a row of as many numbers as a tensor has dimensions.
_SHAPES: dict[str, tuple[int, ...]] = {
    "RESHAPE": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
    "CONV_3D_TRANSPOSE": (0,),
    "MEAN": (1,),
    "SUM": (1,),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "REDUCE_PROD": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
    "TILE": (1,),
    "BROADCAST_TO": (1,),
    "EXPAND_DIMS": (1,),
}
_MAX_RANK = 8
# Operators that calculate, and read beyond the end on texts and handles.
_ARITHMETIC = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "BATCH_MATMUL",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "DIV",
        "ELU",
        "FULLY_CONNECTED",
        "GELU",
        "HARD_SWISH",
        "L2_NORMALIZATION",
        "LEAKY_RELU",
        "LOGISTIC",
        "LOG_SOFTMAX",
        "MAX_POOL_2D",
        "MEAN",
        "MUL",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SOFTMAX",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE_CONV",
    }
)
# Of these the ones that move, pick or average numbers, which needs no scale; the others abort without one.
_UNSCALED = frozenset(
    {
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "MAX_POOL_2D",
        "MEAN",
        "PAD",
        "RELU",
        "RELU6",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "SUM",
    }
)
_NUMBERS = frozenset({"float32", "float16", "bfloat16", "int4", "int8", "uint8", "int16", "int32", "int64", "bool"})
# Of these input and output hold the same kind of number; eight bits may also become sixteen.
_SAME = frozenset({"SOFTMAX", "LOGISTIC", "TANH", "BATCH_MATMUL", "LOG_SOFTMAX", "MEAN", "HARD_SWISH", "GELU"})
_WIDER = frozenset({("int8", "int16"), ("uint8", "int16"), ("int8", "int32"), ("int16", "int32")})
_WHOLE = ("int32", "int64")


def check_options(name: str, operator: Table, outputs: int) -> None:
    """The options of a builtin operator: there, of its kind, and none that a kernel divides by is 0.

    Args:
        name: of the operator.
        operator: as it stands in the file.
        outputs: how many it has.

    Raises:
        ModelError: they are not.
    """
    if name in _COUNTED:
        kind, number = _COUNTED[name]
        count = _options(name, operator, kind).integer(number, "i")
        if count != outputs:
            raise ModelError(f"an operator {name} makes {count} tensors and has {outputs} outputs")
    if name in _OPTIONS:
        kind, fields = _OPTIONS[name]
        options = _options(name, operator, kind)
        for number, default in fields:
            value = options.integer(number, "i", default)
            if not 1 <= value <= _MAX_STEP:
                raise ModelError(f"an operator {name} has a stride, dilation or size of {value}")
        if name in _PADDED and options.integer(0, "b") not in (0, 1):
            raise ModelError(f"an operator {name} has a padding that is none")
    elif name in ("RESHAPE", "SQUEEZE"):
        options_or_none = operator.table(4)
        if options_or_none is not None:
            options_or_none.integers(0)


def _options(name: str, operator: Table, kind: int) -> Table:
    options = operator.table(4)
    if options is None or operator.integer(3, "B") != kind:
        raise ModelError(f"an operator {name} has no options of its kind")
    return options


class TensorUse:
    """Where each tensor of a subgraph gets its numbers from, followed operator by operator in the order they run.

    Args:
        kinds: (dtype, number of elements, whether it has scales) of each tensor.
        constants: of each tensor, whether the file holds its numbers.
        given: of each tensor, whether something else gives them: variables, and what is stored in ways not read here.
        inputs: of the subgraph.

    Raises:
        ModelError: an input is a constant.
    """

    def __init__(
        self, kinds: list[tuple[str, int, bool]], constants: list[bool], given: list[bool], inputs: tuple[int, ...]
    ) -> None:
        self._kinds, self._constants = kinds, constants
        self._known = [constant or known for constant, known in zip(constants, given, strict=True)]
        for index in inputs:
            self._write(index, "an input")

    def check(self, name: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        """Follow one operator; indices are inside the subgraph.

        Raises:
            ModelError: it reads what nobody has written, writes over a constant, or lacks an input.
        """
        optional = _OPTIONAL.get(name, frozenset())
        custom = name.startswith(_MANY_OPTIONAL) or name.endswith(_MANY_OPTIONAL)
        for place, index in enumerate(inputs):
            if index < 0:
                if place not in optional and not custom:
                    raise ModelError(f"input {place} of an operator {name} is left out")
            elif not self._known[index]:
                raise ModelError(f"tensor {index}, input {place} of an operator {name}, has no numbers by then")
        if len(inputs) < _LEAST_INPUTS.get(name, 0):
            raise ModelError(f"an operator {name} has {len(inputs)} inputs")
        for place in _SHAPES.get(name, ()):
            if place < len(inputs):
                self._check_shape(name, inputs[place])
        if name in _ARITHMETIC:
            self._check_numbers(name, inputs, outputs)
        for index in outputs:
            if index >= 0:
                self._write(index, f"an output of {name}")

    def _check_numbers(self, name: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
        for index in (*inputs, *outputs):
            dtype, _, scaled = self._kinds[index] if index >= 0 else ("float32", 0, False)
            if dtype not in _NUMBERS:
                raise ModelError(f"an operator {name} cannot work on tensor {index}, which is of kind {dtype}")
            if dtype in ("uint8", "int8") and not scaled and name not in _UNSCALED:
                raise ModelError(f"an operator {name} cannot work on tensor {index}, {dtype} without a scale")
        if name in _SAME and inputs and outputs:
            one, other = self._kinds[inputs[0]][0], self._kinds[outputs[0]][0]
            if one != other and (one, other) not in _WIDER:
                raise ModelError(f"an operator {name} makes {other} of {one}")

    def _check_shape(self, name: str, index: int) -> None:
        dtype, elements, _ = self._kinds[index]
        if dtype not in _WHOLE or elements > _MAX_RANK:
            raise ModelError(f"an operator {name} takes its shape or axes from a tensor of {elements} {dtype}")

    def _write(self, index: int, what: str) -> None:
        if self._constants[index]:
            raise ModelError(f"{what} is tensor {index}, which is a constant")
        self._known[index] = True
