"""Checks on parts of a model that nothing here reads but the interpreter follows unchecked.

What stands here was found by feeding mutated copies of real models to tflite-runtime 2.14 and LiteRT 2.3, see
``tests/runtime/mutations.py``: each rule ends a crash of one of them, and no sound file breaks it. Field numbers are
those of the TFLite schema.
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

# Inputs that may be left out; none of other operators may, but of recurrent and custom ones.
_OPTIONAL: dict[str, frozenset[int]] = {
    "CONV_2D": frozenset({2}),
    "DEPTHWISE_CONV_2D": frozenset({2}),
    "FULLY_CONNECTED": frozenset({2}),
    "TRANSPOSE_CONV": frozenset({3}),
    "CONV_3D": frozenset({2}),
    "CONV_3D_TRANSPOSE": frozenset({3}),
}
# The least number of inputs of operators that do not count them themselves.
_LEAST_INPUTS = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
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
_WHOLE = ("int32", "int64")


def reach_tensor(tensor: Table) -> None:
    """Follows what the interpreter follows unchecked: name, signature, quantisation, sparsity."""
    tensor.extent(3)
    tensor.integers(7)
    tensor.table(6)
    quantization = tensor.table(4)
    if quantization is not None:
        for number in (0, 1, 2):
            quantization.reals(number)
        quantization.integers(3, "q")
        quantization.table(5)


def reach_options(operator: Table) -> None:
    """The same for an operator: built-in options, old and new, and custom ones."""
    operator.table(4)
    operator.extent(5)
    operator.extent(7)
    operator.table(12)


def check_indices(what: str, indices: tuple[int, ...] | None, lowest: int, total: int) -> None:
    """Tensor indices must lie in ``range(lowest, total)``; ``what`` begins the error's text."""
    for index in indices or ():
        if not lowest <= index < total:
            raise ModelError(f"{what} is tensor {index}, the subgraph has {total}")


def check_options(name: str, operator: Table) -> None:
    """The options of a builtin operator: there, of its kind, and none that a kernel divides by is 0."""
    rule = _OPTIONS.get(name)
    if rule is None:
        return
    kind, fields = rule
    options = operator.table(4)
    if options is None or operator.integer(3, "B") != kind:
        raise ModelError(f"an operator {name} has no options of its kind")
    for number, default in fields:
        value = options.integer(number, "i", default)
        if not 1 <= value <= _MAX_STEP:
            raise ModelError(f"an operator {name} has a stride, dilation or size of {value}")


class TensorUse:
    """Where each tensor of a subgraph gets its numbers from, followed operator by operator in the order they run.

    Args:
        kinds: (dtype, number of elements) of each tensor.
        constants: of each tensor, whether the file holds its numbers.
        given: of each tensor, whether something else gives them: variables, and what is stored in ways not read here.
        inputs: of the subgraph.

    Raises:
        ModelError: an input is a constant.
    """

    def __init__(
        self, kinds: list[tuple[str, int]], constants: list[bool], given: list[bool], inputs: tuple[int, ...]
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
        if (
            name == "DEPTHWISE_CONV_2D"
            and min(inputs[:3][2:], default=-1) < 0
            and self._kinds[inputs[0]][0] != "float32"
        ):
            raise ModelError("an operator DEPTHWISE_CONV_2D of whole numbers has no bias")
        for place in _SHAPES.get(name, ()):
            if place < len(inputs):
                self._check_shape(name, inputs[place])
        for index in outputs:
            if index >= 0:
                self._write(index, f"an output of {name}")

    def _check_shape(self, name: str, index: int) -> None:
        dtype, elements = self._kinds[index]
        if dtype not in _WHOLE or elements > _MAX_RANK:
            raise ModelError(f"an operator {name} takes its shape or axes from a tensor of {elements} {dtype}")

    def _write(self, index: int, what: str) -> None:
        if self._constants[index]:
            raise ModelError(f"{what} is tensor {index}, which is a constant")
        self._known[index] = True
