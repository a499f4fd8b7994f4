"""Damaged files: seeded mutations of real ones, as bad downloads, bad disks and bad people make them."""

from __future__ import annotations

import random
import struct

# What breaks readers: ends of ranges, signs, sizes that overflow when they are multiplied.
_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)


def mutate(data: bytes, seed: int, spans: list[tuple[int, int]] | None = None) -> bytes:
    """One mutation; the same seed gives the same one.

    Args:
        data: of a sound file.
        seed: which mutation.
        spans: (start, end) of the bytes that say what the others mean: three of four mutations hit them.
    """
    rng = random.Random(seed)
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = _position(rng, len(made), spans)
        rng.choice(_STEPS)(made, at, rng)
        if not made:
            break
    return bytes(made)


def structure_of(data: bytes, least: int = 512) -> list[tuple[int, int]]:
    """(start, end) of what is not weights in a model: the file without its long constants.

    Args:
        data: of a sound ``.tflite`` file.
        least: bytes from which on a constant is long.
    """
    from runtime.flatbuffer import Buffer

    holes = []
    for buffer in Buffer(data).root().tables(4):
        extent = buffer.extent(0)
        if extent is not None and extent[1] >= least:
            holes.append((extent[0], extent[0] + extent[1]))
    spans, begin = [], 0
    for start, end in sorted(holes):
        if start > begin:
            spans.append((begin, start))
        begin = max(begin, end)
    return [*spans, (begin, len(data))] if begin < len(data) else spans


def _position(rng: random.Random, size: int, spans: list[tuple[int, int]] | None) -> int:
    if spans and rng.random() < 0.75:
        lengths = [end - start for start, end in spans]
        start, end = rng.choices(spans, lengths)[0]
        return min(rng.randrange(start, end), size - 1)
    return rng.randrange(size)


def _flip(made: bytearray, at: int, rng: random.Random) -> None:
    made[at] ^= 1 << rng.randrange(8)


def _byte(made: bytearray, at: int, rng: random.Random) -> None:
    made[at] = rng.randrange(256)


def _number(made: bytearray, at: int, rng: random.Random) -> None:
    at &= ~3
    if at + 4 <= len(made):
        struct.pack_into("<I", made, at, rng.choice(_NUMBERS))


def _nudge(made: bytearray, at: int, rng: random.Random) -> None:
    """A little more or less: another offset, another index, another length."""
    at &= ~3
    if at + 4 <= len(made):
        value = struct.unpack_from("<I", made, at)[0]
        struct.pack_into("<I", made, at, (value + rng.choice((-64, -16, -8, -4, -2, -1, 1, 2, 4, 8, 16, 64))) % 2**32)


def _short(made: bytearray, at: int, rng: random.Random) -> None:
    at &= ~1
    if at + 2 <= len(made):
        struct.pack_into("<H", made, at, rng.choice((0, 1, 4, 6, 8, 16, 255, 32768, 65535)))


def _blank(made: bytearray, at: int, rng: random.Random) -> None:
    length = min(rng.choice((4, 16, 64, 512)), len(made) - at)
    made[at : at + length] = bytes([rng.choice((0, 255))]) * length


def _copy(made: bytearray, at: int, rng: random.Random) -> None:
    """Bytes of one place over those of another."""
    length = min(rng.choice((2, 4, 8, 32, 256)), len(made) - at)
    source = rng.randrange(len(made) - length + 1)
    made[at : at + length] = made[source : source + length]


def _cut(made: bytearray, at: int, rng: random.Random) -> None:
    del made[at:]


def _remove(made: bytearray, at: int, rng: random.Random) -> None:
    del made[at : at + rng.choice((1, 2, 4, 16, 100))]


def _insert(made: bytearray, at: int, rng: random.Random) -> None:
    made[at:at] = rng.randbytes(rng.choice((1, 2, 4, 16, 100)))


# Those that keep the length come more often: what is behind a change of length is refused at once.
_STEPS = (_flip, _flip, _byte, _byte, _number, _number, _nudge, _nudge, _short, _short, _blank, _copy, _copy)
_STEPS = (*_STEPS, *_STEPS, _cut, _remove, _insert)
