from __future__ import annotations

import random
import struct
import subprocess
import sys

import flatbuffers
import pytest

from runtime.errors import ModelError
from runtime.flatbuffer import Buffer


def build() -> bytes:
    """A table with a field of every kind: 0-9 scalars, 10 string, 11-12 vectors, 13 tables, 14-15 a union."""
    b = flatbuffers.Builder(64)
    text = b.CreateString("grüße")
    b.StartVector(4, 3, 4)
    for value in (3, -2, 1):
        b.PrependInt32(value)
    numbers = b.EndVector()
    b.StartVector(4, 2, 4)
    for real in (0.5, -1.5):
        b.PrependFloat32(real)
    reals = b.EndVector()
    children = []
    for value in (7, 8):
        b.StartObject(1)
        b.PrependInt32Slot(0, value, 0)
        children.append(b.EndObject())
    b.StartVector(4, 2, 4)
    for child in reversed(children):
        b.PrependUOffsetTRelative(child)
    tables = b.EndVector()
    b.StartObject(17)
    b.PrependBoolSlot(0, True, False)
    b.PrependInt8Slot(1, -5, 0)
    b.PrependUint8Slot(2, 200, 0)
    b.PrependInt16Slot(3, -300, 0)
    b.PrependUint16Slot(4, 60000, 0)
    b.PrependInt32Slot(5, -70000, 0)
    b.PrependUint32Slot(6, 4_000_000_000, 0)
    b.PrependInt64Slot(7, -(2**40), 0)
    b.PrependUint64Slot(8, 2**63, 0)
    b.PrependFloat32Slot(9, 0.25, 0)
    b.PrependUOffsetTRelativeSlot(10, text, 0)
    b.PrependUOffsetTRelativeSlot(11, numbers, 0)
    b.PrependUOffsetTRelativeSlot(12, reals, 0)
    b.PrependUOffsetTRelativeSlot(13, tables, 0)
    b.PrependUint8Slot(14, 2, 0)
    b.PrependUOffsetTRelativeSlot(15, children[0], 0)
    b.Finish(b.EndObject(), b"TEST")
    return bytes(b.Output())


def read_all(data: bytes) -> list[object]:
    root = Buffer(data).root()
    children = root.tables(13)
    union = root.table(15)
    return [
        *(root.integer(number, kind) for number, kind in enumerate("?bBhHiIqQ")),
        root.real(9),
        root.text(10),
        root.integers(11),
        root.reals(12),
        [child.integer(0, "i") for child in children],
        root.integer(14, "B"),
        union and union.integer(0, "i"),
    ]


def table(fields: bytes, vtable: tuple[int, ...]) -> bytes:
    """The bytes of a root table with these field bytes; ``vtable`` holds the offsets of its fields."""
    head = struct.pack(f"<HH{len(vtable)}H", 4 + 2 * len(vtable), min(4 + len(fields), 65535), *vtable)
    head += b"\0" * (-len(head) % 4)
    return struct.pack("<I", 4 + len(head)) + head + struct.pack("<i", len(head)) + fields


def test_every_kind_of_field() -> None:
    assert read_all(build()) == [
        1, -5, 200, -300, 60000, -70000, 4_000_000_000, -(2**40), 2**63, 0.25,
        "grüße", (1, -2, 3), (-1.5, 0.5), [7, 8], 2, 7,
    ]  # fmt: skip


def test_absent_fields_give_defaults() -> None:
    root = Buffer(build()).root()
    for number in (16, 40):
        assert root.integer(number, "i", default=9) == 9
        assert root.real(number, default=0.5) == 0.5
        assert root.text(number) is None
        assert root.octets(number) is None
        assert root.extent(number) is None
        assert root.integers(number) is None
        assert root.reals(number) == ()
        assert root.table(number) is None
        assert root.tables(number) == []


def test_bytes_that_are_no_utf8_do_not_raise() -> None:
    data = table(struct.pack("<II2s2x", 4, 2, b"\xff\xfe"), (4,))
    assert Buffer(data).root().text(0) == "\ufffd\ufffd"
    assert Buffer(data).root().octets(0) == b"\xff\xfe"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "outside its 0 bytes"),
        (b"\1\0", "outside its 2 bytes"),
        (struct.pack("<I", 0) + bytes(8), "points to itself"),
        (struct.pack("<I", 2**32 - 1) + bytes(8), "outside its 12 bytes"),
        # The field list would lie before the data, then behind them.
        (struct.pack("<Ii", 4, 2**31 - 1), "outside its 8 bytes"),
        (struct.pack("<Ii", 4, -(2**31)), "outside its 8 bytes"),
        # A field list of 2 bytes, of an odd length, of a table shorter than its own offset, cut off.
        (struct.pack("<IHHi", 8, 2, 4, 4), "no valid field list"),
        (struct.pack("<IHHi", 8, 5, 4, 4), "no valid field list"),
        (struct.pack("<IHHi", 8, 4, 3, 4), "no valid field list"),
        (struct.pack("<IHHi", 8, 400, 4, 4), "outside its 12 bytes"),
        (struct.pack("<IHHi", 8, 4, 400, 4), "outside its 12 bytes"),
    ],
)
def test_a_root_that_cannot_be_reached(data: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Buffer(data).root()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (table(struct.pack("<I", 0), (4,)), "points to itself"),
        (table(struct.pack("<I", 2**31), (4,)), "outside its"),
        (table(struct.pack("<I", 4), (3,)), "field 0 of the table at byte 12 is outside it"),
        (table(struct.pack("<I", 4), (6,)), "field 0 of the table at byte 12 is outside it"),
        (table(struct.pack("<II", 4, 2**32 - 1), (4,)), "outside its"),
        (table(struct.pack("<II", 4, 2**30), (4,)), "outside its"),
    ],
)
def test_hostile_offsets_and_lengths(data: bytes, message: str) -> None:
    root = Buffer(data).root()
    for read in (root.text, root.octets, root.extent, root.integers, root.reals, root.tables):
        with pytest.raises(ModelError, match=message):
            read(0)


def test_many_offsets_to_one_table_end_at_the_budget() -> None:
    count = 1_000_000
    inner = struct.pack("<HHi", 4, 4, 4)
    # Each entry counts from its own place, so all point at the same table behind the vector.
    entries = struct.pack(f"<{count}I", *range(4 * count + 4, 4, -4))
    data = table(struct.pack("<II", 4, count) + entries + inner, (4,))
    with pytest.raises(ModelError, match="more elements than any real file"):
        Buffer(data).root().tables(0)


def test_the_budget_covers_repeated_reads() -> None:
    buffer = Buffer(build(), budget=100)
    root = buffer.root()
    with pytest.raises(ModelError, match="more elements"):
        for _ in range(100):
            root.integers(11)


def test_mutations_raise_nothing_but_model_errors() -> None:
    sound = build()
    rng = random.Random(1)
    refused = 0
    for _ in range(4000):
        data = bytearray(sound)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 4, 127, 128, 255, rng.randrange(256)))
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            read_all(bytes(data))
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 1000


def test_the_device_needs_neither_numpy_nor_flatbuffers() -> None:
    program = (
        "import sys, runtime.metadata, runtime.op_versions;print('numpy' in sys.modules, 'flatbuffers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
