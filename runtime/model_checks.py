"""Checks on parts of a model that nothing here reads but the interpreter follows unchecked.

What stands here and in ``operator_checks`` was found by feeding mutated copies of real models to tflite-runtime 2.14
and LiteRT 2.3, see ``tests/runtime/mutations.py``: each rule ends a crash of one of them, and no sound file breaks it.
Field numbers are those of the TFLite schema.
"""

from __future__ import annotations

from runtime.errors import ModelError
from runtime.flatbuffer import Table

# A scale is the range of a tensor's real numbers over 255; kernels abort where a ratio of two does not fit 31 bits.
_LEAST_SCALE, _MOST_SCALE = 1e-30, 1e9
_RANGES = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767)}


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


def check_quantization(index: int, tensor: Table, dtype: str, rank: int) -> bool:
    """Scales and zero points of a tensor are numbers that kernels can work with.

    Returns:
        Whether it has any.

    Raises:
        ModelError: they are not.
    """
    quantization = tensor.table(4)
    scales = () if quantization is None else quantization.reals(2)
    if quantization is None or not scales:
        return False
    if not all(_LEAST_SCALE < scale < _MOST_SCALE for scale in scales):  # false for NaN too
        raise ModelError(f"tensor {index} has a quantisation scale that no model has")
    limits = _RANGES.get(dtype)
    points = quantization.integers(3, "q") or ()
    if limits and not all(limits[0] <= point <= limits[1] for point in points):
        raise ModelError(f"tensor {index} has a zero point that is no {dtype}")
    if len(scales) > 1 and not 0 <= quantization.integer(6, "i") < max(1, rank):
        raise ModelError(f"tensor {index} is quantised along a dimension that it does not have")
    return True


def check_signature(signature: Table, subgraphs: list[int]) -> None:
    """A named entry of the model: its names are inside the file, its tensors inside their subgraph.

    Args:
        signature: as it stands in the file.
        subgraphs: how many tensors each has.

    Raises:
        ModelError: they are not.
    """
    signature.extent(2)
    number = signature.integer(4, "I")
    if number >= len(subgraphs):
        raise ModelError(f"a signature has subgraph {number}, the file lists {len(subgraphs)}")
    for field in (0, 1):
        for entry in signature.tables(field):
            entry.extent(0)
            check_indices("a signature's tensor", (entry.integer(1, "I"),), 0, subgraphs[number])


def check_sparsity(index: int, tensor: Table) -> None:
    """Follows how a sparse constant is laid out."""
    sparsity = tensor.table(6)
    if sparsity is None:
        return
    sparsity.integers(0)
    sparsity.integers(1)
    dimensions = sparsity.tables(2)
    if not dimensions:
        raise ModelError(f"tensor {index} is sparse and has no dimensions")
    for dimension in dimensions:
        for field in (3, 5):
            part = dimension.table(field)
            if part is not None:
                part.extent(0)
