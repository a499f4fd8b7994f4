"""Reads a ``.tflite`` file for ``ModelFile``, and checks it on the way.

Field numbers and enums are those of the TFLite schema:
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

from __future__ import annotations

import math
import re
from collections import Counter
from mmap import mmap
from pathlib import Path
from typing import NamedTuple

from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.flatbuffer import Buffer, Table
from runtime.model_checks import (
    check_indices,
    check_quantization,
    check_signature,
    check_sparsity,
    reach_options,
    reach_tensor,
)
from runtime.model_file import ModelFile, OperatorUse, TensorInfo
from runtime.op_names import CUSTOM_CODE, TENSOR_TYPES, operator_name
from runtime.operator_checks import TensorUse, check_options

# The interpreter keeps element counts of its kernels in 32 bits.
_MAX_ELEMENTS = 2**31 - 1

# Operators that hand a value on: behind them a probability is still one.
_PASS_ON = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "CAST"})
_PROBABILITY = frozenset({"SOFTMAX", "LOGISTIC", "STABLEHLO_LOGISTIC"})
# What these compute is written in another subgraph, or nowhere.
_OPAQUE = frozenset(
    {"CALL", "DELEGATE", "IF", "WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE", "STABLEHLO_CUSTOM_CALL"}
)


class _Stored(NamedTuple):
    """A tensor as the file holds it: whether its numbers are stored there, and whether they come otherwise."""

    dtype: str
    elements: int
    scaled: bool
    stored: bool
    given: bool


class ModelReader:
    """The model in one buffer; a class because almost every check needs the buffers and operator codes.

    Args:
        data: the whole file.

    Raises:
        ModelError: it is damaged.
    """

    def __init__(self, data: bytes | mmap) -> None:
        self.size = len(data)
        self.root = Buffer(data).root()
        self.codes = [_operator_code(code) for code in self.root.tables(1)]
        self.buffers = self.root.tables(4)
        self.data_end = 0
        for index, buffer in enumerate(self.buffers):
            self._buffer_size(index, buffer)

    def model(self, path: Path) -> ModelFile:
        """What the file says, all of it checked.

        Args:
            path: where it was read.

        Raises:
            ModelError: it is damaged.
        """
        subgraphs = self.root.tables(2)
        if not subgraphs:
            raise ModelError("it has no subgraph")
        main = subgraphs[0]
        inputs, outputs = main.integers(1) or (), main.integers(2) or ()
        if not inputs or not outputs:
            raise ModelError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not at least one")
        counts = [0] * len(self.codes)
        sizes = [self._check_subgraph(subgraph, counts) for subgraph in subgraphs]
        for signature in self.root.tables(7):
            check_signature(signature, sizes)
        tensors = main.tables(0)
        metadata = self._metadata()
        return ModelFile(
            path=path,
            size=self.size,
            schema_version=self.root.integer(0, "I"),
            description=self.root.text(3) or "",
            inputs=tuple(_tensor_info(tensors[index]) for index in inputs),
            outputs=tuple(_tensor_info(tensors[index]) for index in outputs),
            operators=_merge(self.codes, counts),
            output_is_probability=self._is_probability(main, outputs[0]),
            min_runtime_version=_version_text(metadata.get("min_runtime_version")),
            metadata_blob=metadata.get("TFLITE_METADATA"),
            data_end=self.data_end,
        )

    def _check_subgraph(self, subgraph: Table, counts: list[int]) -> int:
        """Checks one; returns how many tensors it has."""
        found = [self._check_tensor(index, tensor) for index, tensor in enumerate(subgraph.tables(0))]
        total = len(found)
        inputs = subgraph.integers(1) or ()
        check_indices("an input", inputs, 0, total)
        check_indices("an output", subgraph.integers(2), 0, total)
        kinds = [(one.dtype, one.elements, one.scaled) for one in found]
        use = TensorUse(kinds, [one.stored for one in found], [one.given for one in found], inputs)
        for operator in subgraph.tables(3):
            code = operator.integer(0, "I")
            if code >= len(counts):
                raise ModelError(f"an operator has code index {code}, the file lists {len(counts)}")
            counts[code] += 1
            reach_options(operator)
            # -1 stands for an optional tensor that is left out.
            name = shown(self.codes[code].name)
            taken, made = operator.integers(1) or (), operator.integers(2) or ()
            check_indices(f"an input of {name}", taken, -1, total)
            check_indices(f"an output of {name}", made, -1, total)
            check_indices(f"an intermediate of {name}", operator.integers(8), -1, total)
            if not self.codes[code].custom:
                check_options(name, operator, len(made))
                use.check(name, taken, made)
            else:
                use.check("CUSTOM", taken, made)
        return total

    def _check_tensor(self, index: int, tensor: Table) -> _Stored:
        shape = tensor.integers(0) or ()
        if min(shape, default=0) < 0:
            raise ModelError(f"tensor {index} has a negative dimension in its shape {shape[:8]}")
        elements = math.prod(shape) if len(shape) <= 64 else _MAX_ELEMENTS + 1
        if elements > _MAX_ELEMENTS:
            raise ModelError(f"tensor {index} has more than {_MAX_ELEMENTS} elements")
        reach_tensor(tensor)
        dtype, bits = _dtype(tensor)
        check_sparsity(index, tensor)
        scaled = check_quantization(index, tensor, dtype, len(shape))
        variable = bool(tensor.integer(5, "?"))
        # Nothing to hold, a state, or numbers in a file beside this one.
        given = not elements or variable or bool(tensor.integer(10, "I"))
        buffer = tensor.integer(2, "I")
        if buffer == 0:  # by convention "no constant"; a file may then hold no buffer at all
            return _Stored(dtype, elements, scaled, False, given)
        if buffer >= len(self.buffers):
            raise ModelError(f"tensor {index} has buffer index {buffer}, the file lists {len(self.buffers)}")
        stored = self._buffer_size(buffer, self.buffers[buffer])
        sparse = tensor.table(6) is not None
        if stored == 0 or bits == 0 or sparse or variable:
            return _Stored(dtype, elements, scaled, stored > 0 and not variable, given)
        expected = (elements * bits + 7) // 8
        # Numbers under 8 bits may also be stored one a byte.
        if stored != expected and (bits >= 8 or stored < expected):
            raise ModelError(f"constant {index}, {dtype}{list(shape)}, has {stored} bytes, not {expected}")
        return _Stored(dtype, elements, scaled, True, given)

    def _buffer_size(self, index: int, buffer: Table) -> int:
        """Bytes of a constant, inside the flatbuffer or, in models over 2 GB, behind it."""
        inside = buffer.extent(0)
        if inside is not None and inside[1]:
            self.data_end = max(self.data_end, sum(inside))
            return inside[1]
        offset, size = buffer.integer(1, "Q"), buffer.integer(2, "Q")
        if offset <= 1:  # 0 and 1 mean that the data are not outside
            return 0
        if offset + size > self.size:
            raise ModelError(f"buffer {index} ends at byte {offset + size}, the file has {self.size}")
        self.data_end = max(self.data_end, offset + size)
        return size

    def _metadata(self) -> dict[str, bytes]:
        entries: dict[str, bytes] = {}
        for entry in self.root.tables(6):
            name, index = entry.text(0), entry.integer(1, "I")
            if index >= len(self.buffers):
                raise ModelError(f"metadata have buffer index {index}, the file lists {len(self.buffers)}")
            if name in ("TFLITE_METADATA", "min_runtime_version"):
                entries[name] = self.buffers[index].octets(0) or b""
        return {name: blob for name, blob in entries.items() if blob}

    def _is_probability(self, subgraph: Table, output: int) -> bool | None:
        producers = {index: operator for operator in subgraph.tables(3) for index in operator.integers(2) or ()}
        # Each step removes a producer, so a ring of operators ends too.
        while (operator := producers.pop(output, None)) is not None:
            use = self.codes[operator.integer(0, "I")]
            sources = operator.integers(1) or ()
            if use.custom or use.name in _OPAQUE or use.name.startswith("BUILTIN_"):
                return None
            if use.name not in _PASS_ON or not sources:
                return use.name in _PROBABILITY
            output = sources[0]
        return None


def _operator_code(code: Table) -> OperatorUse:
    # The older field is a byte and holds 127 for every later operator; older files lack the newer field.
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    if number < 0:
        raise ModelError(f"operator code {number} does not exist")
    version = code.integer(2, "i", default=1)
    if number == CUSTOM_CODE:
        return OperatorUse(code.text(1) or "CUSTOM", version, 0, custom=True)
    return OperatorUse(operator_name(number), version, 0)


def _merge(codes: list[OperatorUse], counts: list[int]) -> tuple[OperatorUse, ...]:
    """The operators with their counts, each (name, version) once."""
    totals: Counter[OperatorUse] = Counter()
    for code, count in zip(codes, counts, strict=True):
        totals[code] += count
    return tuple(sorted(code._replace(count=total) for code, total in totals.items()))


def _tensor_info(tensor: Table) -> TensorInfo:
    shape = tensor.integers(0) or ()
    name = tensor.octets(3) or b""
    try:
        name.decode()
    except UnicodeDecodeError:
        raise ModelError("the name of an input or output is no UTF-8 text") from None
    quantization = tensor.table(4)
    scales = () if quantization is None else quantization.reals(2)
    zero_points = () if quantization is None else quantization.integers(3, "q") or ()
    if len(zero_points) not in (0, len(scales)):
        raise ModelError(f"a tensor has {len(scales)} scales and {len(zero_points)} zero points")
    return TensorInfo(
        name=name.decode(),
        shape=shape,
        shape_signature=tensor.integers(7) or shape,
        dtype=_dtype(tensor)[0],
        scales=scales,
        zero_points=zero_points or (0,) * len(scales),
    )


def _dtype(tensor: Table) -> tuple[str, int]:
    number = tensor.integer(1, "b")
    if not 0 <= number < len(TENSOR_TYPES):
        raise ModelError(f"tensor type {number} does not exist in the schema known here")
    return TENSOR_TYPES[number]


def _version_text(blob: bytes | None) -> str | None:
    """The converter pads the version with NUL to 16 bytes."""
    text = (blob or b"").split(b"\0")[0].decode("ascii", errors="replace").strip()
    return text if re.fullmatch(r"\d+(\.\d+){0,3}", text) else None
