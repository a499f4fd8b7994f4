"""Reads FlatBuffers without trusting them.

The interpreter's own reader follows offsets unchecked and crashes on a damaged file; this one checks
every offset against the data and raises :class:`~runtime.errors.ModelError`. It reads lazily and copies
only what is asked for, so a file's weights cost nothing. Format: https://flatbuffers.dev/internals/

An offset to a table, string or vector is unsigned and counts forward, so a chain of them always ends;
many offsets can still share one target, which lets a small file describe endless work. Each
:class:`Buffer` therefore carries a budget that every read draws on.
"""

from __future__ import annotations

import struct
from mmap import mmap
from typing import cast

from runtime.errors import ModelError

BUDGET = 8_000_000
"""Units of work in one buffer: an element costs 1, a table 16, a copied byte 1/16; about a second in all."""

_TABLE_COST = 16
_SCALARS = {kind: struct.Struct("<" + kind) for kind in "?bBhHiIqQfd"}
_UINT16 = _SCALARS["H"]
_INT32 = _SCALARS["i"]
_UINT32 = _SCALARS["I"]


class Buffer:
    """Bytes that hold a flatbuffer, and what may still be read of them.

    Attributes:
        data: The bytes; an mmap is read in place.
        budget: Units of work left.
    """

    __slots__ = ("budget", "data", "size")

    def __init__(self, data: bytes | mmap, budget: int = BUDGET) -> None:
        self.data, self.budget, self.size = data, budget, len(data)

    def root(self) -> Table:
        """The root table.

        Raises:
            ModelError: The data are too short for one, or its position is outside them.
        """
        return self.table_at(self.target(0))

    def unpack(self, kind: struct.Struct, position: int) -> int | float | bool:
        """One little-endian scalar at a byte position."""
        if position < 0 or position + kind.size > self.size:  # as ``need``; half of all the time here is in this line
            self.need(position, kind.size)
        value: int | float | bool = kind.unpack_from(self.data, position)[0]
        return value

    def need(self, position: int, size: int) -> None:
        """Checks that ``size`` bytes from ``position`` lie inside the data."""
        if position < 0 or position + size > self.size:
            raise ModelError(f"byte {position} + {size} is outside its {self.size} bytes")

    def spend(self, units: int) -> None:
        """Draws on the budget.

        Raises:
            ModelError: Nothing is left: no real file asks for that much.
        """
        self.budget -= units
        if self.budget < 0:
            raise ModelError("it describes more elements than any real file holds")

    def target(self, position: int) -> int:
        """Follows the forward offset stored at a byte position."""
        offset = int(self.unpack(_UINT32, position))
        if offset == 0:
            raise ModelError(f"the offset at byte {position} points to itself")
        self.need(position + offset, 4)
        return position + offset

    def vector_at(self, position: int, width: int) -> tuple[int, int]:
        """(First byte, length) of the vector whose length stands at ``position``; all of it is inside."""
        length = int(self.unpack(_UINT32, position))
        self.need(position + 4, length * width)
        return position + 4, length

    def table_at(self, position: int) -> Table:
        """The table at a byte position, its field list checked."""
        self.spend(_TABLE_COST)
        vtable = position - int(self.unpack(_INT32, position))
        size = int(self.unpack(_UINT16, vtable))
        table_size = int(self.unpack(_UINT16, vtable + 2))
        if size < 4 or size % 2 or table_size < 4:
            raise ModelError(f"the table at byte {position} has no valid field list")
        self.need(vtable, size)
        self.need(position, table_size)
        return Table(self, position, vtable, size, table_size)


class Table:
    """One table. Fields are numbered from 0 in the order of the schema; an absent field gives its default.

    Every method raises :class:`~runtime.errors.ModelError` when what it reads lies outside the data.
    """

    __slots__ = ("buffer", "position", "table_size", "vtable", "vtable_size")

    def __init__(self, buffer: Buffer, position: int, vtable: int, vtable_size: int, table_size: int) -> None:
        self.buffer, self.position = buffer, position
        self.vtable, self.vtable_size, self.table_size = vtable, vtable_size, table_size

    def integer(self, number: int, kind: str, default: int = 0) -> int:
        """A whole number; ``kind`` is a letter of :mod:`struct`: ``?bBhHiIqQ``."""
        return int(self._scalar(number, kind, default))

    def real(self, number: int, default: float = 0.0) -> float:
        """A float32."""
        return float(self._scalar(number, "f", default))

    def text(self, number: int) -> str | None:
        """A string; bytes that are not UTF-8 become U+FFFD."""
        raw = self.octets(number)
        return None if raw is None else raw.decode("utf-8", errors="replace")

    def octets(self, number: int) -> bytes | None:
        """A copy of a vector of bytes, or of a string before decoding."""
        extent = self.extent(number)
        if extent is None:
            return None
        start, length = extent
        self.buffer.spend(length // 16)
        return self.buffer.data[start : start + length]

    def extent(self, number: int) -> tuple[int, int] | None:
        """Where a vector of bytes lies: (first byte, length), nothing copied."""
        position = self._field(number, 4)
        return None if position is None else self.buffer.vector_at(self.buffer.target(position), 1)

    def integers(self, number: int, kind: str = "i") -> tuple[int, ...] | None:
        """A vector of whole numbers; ``kind`` as in :meth:`integer`."""
        values = self._scalars(number, kind)
        return None if values is None else cast("tuple[int, ...]", values)

    def reals(self, number: int) -> tuple[float, ...]:
        """A vector of float32, empty when absent."""
        return self._scalars(number, "f") or ()

    def table(self, number: int) -> Table | None:
        """A table, or the value of a union whose type was read from the field before it."""
        position = self._field(number, 4)
        return None if position is None else self.buffer.table_at(self.buffer.target(position))

    def tables(self, number: int) -> list[Table]:
        """A vector of tables, empty when absent."""
        position = self._field(number, 4)
        if position is None:
            return []
        buffer = self.buffer
        start, length = buffer.vector_at(buffer.target(position), 4)
        # Before the list is built: a length that does not fit the budget must not cost memory first.
        buffer.spend(length)
        return [buffer.table_at(buffer.target(start + 4 * index)) for index in range(length)]

    def _scalars(self, number: int, kind: str) -> tuple[float, ...] | None:
        position = self._field(number, 4)
        if position is None:
            return None
        start, length = self.buffer.vector_at(self.buffer.target(position), _SCALARS[kind].size)
        self.buffer.spend(length)
        return struct.unpack_from(f"<{length}{kind}", self.buffer.data, start)

    def _scalar(self, number: int, kind: str, default: float) -> float:
        form = _SCALARS[kind]
        position = self._field(number, form.size)
        return default if position is None else self.buffer.unpack(form, position)

    def _field(self, number: int, size: int) -> int | None:
        """The byte position of a field of ``size`` bytes, or None when the table leaves it out."""
        slot = 4 + 2 * number
        if slot + 2 > self.vtable_size:
            return None
        offset = int(self.buffer.unpack(_UINT16, self.vtable + slot))
        if offset == 0:
            return None
        if offset < 4 or offset + size > self.table_size:
            raise ModelError(f"field {number} of the table at byte {self.position} is outside it")
        return self.position + offset
