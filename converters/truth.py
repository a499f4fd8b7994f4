"""Whether a file is what its name says: an integer model has no float in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.flatbuffer_model import unpack_model
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.op_names import CUSTOM_CODE, TENSOR_TYPES, operator_name

_BYTES = frozenset({"int8", "uint8", "int4", "int2", "uint4", "bool"})
# Biases and accumulators; shapes and indices.
_WHOLE = _BYTES | {"int32", "uint32", "int64"}
#: What tensors of an integer model may hold.
INTEGER_KINDS = {"int8": _WHOLE, "int16x8": _WHOLE | {"int16"}}
_INTEGER_ACTIVATIONS = frozenset({"int8", "uint8", "int16"})
# Elements of a constant from which on it is a weight and not a shape, an axis or a bias.
_WEIGHTS = 1024
# Parts that an error names; `toolkit verify --json` has them all.
_MOST_NAMED = 3
_LONGEST_NAME = 50


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model: name, dtype, shape, and whether the file holds its values."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    constant: bool

    def __str__(self) -> str:
        size = " x ".join(map(str, self.shape)) or "one number"
        return f"{_short(self.name)} ({self.dtype}, {size})"


@dataclass(frozen=True)
class WrongParts:
    """What in a file is not what its kind says; both empty in a true one.

    Attributes:
        tensors: as ``NAME (float32, 1 x 5)``.
        operators: as ``CONV_2D giving NAME``; those that read or write such a tensor.
    """

    tensors: tuple[str, ...]
    operators: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.tensors or self.operators)

    def __str__(self) -> str:
        parts = [
            f"{len(names)} {what}{'s' * (len(names) > 1)}: {', '.join(names[:_MOST_NAMED])}"
            + f" and {len(names) - _MOST_NAMED} more" * (len(names) > _MOST_NAMED)
            for what, names in (("operator", self.operators), ("tensor", self.tensors))
            if names
        ]
        return "; ".join(parts)


def wrong_parts(content: bytes, kind: str, io: str | None = None) -> WrongParts:
    """The tensors and operators of an integer model that are not integer, or wider than its name says.

    Args:
        content: a ``.tflite`` file.
        kind: ``int8`` or ``int16x8``; any other promises nothing, and nothing of it is wrong.
        io: dtype that input and output must have; None takes any. With ``float32`` or None an input may be float32
            where nothing but QUANTIZE reads it, and an output where DEQUANTIZE writes it: only the ends are float.

    Raises:
        ModelError: not a TFLite model.
    """
    if kind not in INTEGER_KINDS:
        return WrongParts((), ())
    tensors: list[str] = []
    operators: list[str] = []
    model = unpack_model(content)
    for number, graph in enumerate(model.subgraphs):
        known = _tensors(model, graph)
        ends = _float_ends(model, graph, known) if number == 0 and io in (None, "float32") else set()
        wrong = {index for index, tensor in enumerate(known) if tensor.dtype not in INTEGER_KINDS[kind]} - ends
        asked = {index for index in _ends(graph) if io is not None and number == 0 and known[index].dtype != io}
        tensors += [str(known[index]) for index in sorted(wrong | asked)]
        for operator in graph.operators or ():
            if wrong & set(_touched(operator)):
                giving = ", ".join(_short(known[index].name) for index in map(int, operator.outputs))
                operators.append(f"{_name(model, operator)} giving {giving}")
    return WrongParts(tuple(tensors), tuple(operators))


def require_true(name: str, content: bytes, kind: str, io: str | None = None) -> None:
    """Refuse a file that is called an integer model and is none.

    Args:
        name: of the file, for the error.
        content: of the file.
        kind: see ``wrong_parts``.
        io: see ``wrong_parts``.

    Raises:
        ModelError: with the parts that are not.
    """
    if wrong := wrong_parts(content, kind, io):
        ends = f" with {io} input and output" if io is not None else ""
        raise ModelError(f"{shown(name)} is no {kind} model{ends}: it holds {wrong}")


def kind_of(content: bytes) -> str:
    """What a file is, whatever its name says.

    Returns:
        ``int8`` or ``int16x8``, whole integer models; ``mixed``, integers with float layers between; ``dynamic``,
        integer weights under float activations; ``float16``, half-size weights; or ``float32``.

    Raises:
        ModelError: not a TFLite model.
    """
    for kind in INTEGER_KINDS:
        if not wrong_parts(content, kind):
            return kind
    model = unpack_model(content)
    known = [tensor for graph in model.subgraphs for tensor in _tensors(model, graph)]
    if any(t.dtype in _INTEGER_ACTIVATIONS and not t.constant for t in known):
        return "mixed"
    weights = {t.dtype for t in known if t.constant and _elements(t) >= _WEIGHTS}
    if weights & _BYTES:
        return "dynamic"
    return "float16" if "float16" in weights else "float32"


def _short(name: str) -> str:
    """The converter joins the names of all layers that it fused; the first says enough."""
    first = name.split(";")[0]
    return shown(first if len(first) <= _LONGEST_NAME else f"...{first[-_LONGEST_NAME:]}")


def _tensors(model: Any, graph: Any) -> list[Tensor]:
    return [_tensor(model, tensor) for tensor in graph.tensors or ()]


def _tensor(model: Any, tensor: Any) -> Tensor:
    buffers = model.buffers or ()
    # 0 stands for "no constant"; a file may then hold no buffer at all.
    data = buffers[tensor.buffer].data if 0 < tensor.buffer < len(buffers) else None
    shape = () if tensor.shape is None else tuple(map(int, tensor.shape))
    dtype = TENSOR_TYPES[tensor.type][0] if 0 <= tensor.type < len(TENSOR_TYPES) else f"type {tensor.type}"
    name = (tensor.name or b"").decode("utf-8", "replace")
    return Tensor(name, dtype, shape, data is not None and len(data) > 0)


def _elements(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _ends(graph: Any) -> Iterator[int]:
    yield from map(int, graph.inputs)
    yield from map(int, graph.outputs)


def _touched(operator: Any) -> list[int]:
    """Tensors that an operator reads or writes; -1 stands for one that is left out."""
    inputs = () if operator.inputs is None else operator.inputs
    return [int(index) for index in (*inputs, *operator.outputs) if int(index) >= 0]


def _float_ends(model: Any, graph: Any, known: list[Tensor]) -> set[int]:
    """Float inputs that only QUANTIZE reads, and float outputs that DEQUANTIZE writes and nothing reads."""
    users: dict[int, list[tuple[str, bool]]] = {index: [] for index in _ends(graph)}
    for operator in graph.operators or ():
        written = set(map(int, operator.outputs))
        for index in users.keys() & set(_touched(operator)):
            users[index].append((_name(model, operator), index in written))
    inputs = {index for index in map(int, graph.inputs) if set(users[index]) <= {("QUANTIZE", False)}}
    outputs = {index for index in map(int, graph.outputs) if set(users[index]) == {("DEQUANTIZE", True)}}
    return {index for index in inputs | outputs if known[index].dtype == "float32"}


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.deprecatedBuiltinCode, code.builtinCode)
    if number == CUSTOM_CODE:
        return (code.customCode or b"CUSTOM").decode("utf-8", "replace")
    return operator_name(number)
