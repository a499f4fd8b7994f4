"""Which pictures are one picture saved anew: groups of near duplicates by their signatures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from toolkit.progress import Progress, progress_bar, silent_progress
from toolkit.signatures import BITS, SIDE, Signature

#: Pictures whose signatures differ in no more than so many of 256 bits are near duplicates. Measured on 800 flower
#: photographs: JPEG quality 30, a size of 50-200 %, brightness and contrast -20 %, a stretch to a square, grey and
#: mirrored are all found; brightness +20 % and a crop of 1 % a side in 99.5 %; a crop of 2.5 % changes 40 bits in
#: the median and is mostly missed. Different photographs differ by 84 and more, drawn shapes on plain ground by 34
#: and more; the one pair of flowers below is one tulip photograph in two gradings (18 bits). The script
#: tests/benchmarks/near_duplicates.py measures it.
MAX_DISTANCE = 30
# A tile of 1,024 x 1,024 comparisons takes 4 MB, and its candidates 32 MB at worst.
_TILE = 1024
# Below this many pictures the search takes a second at most.
_SHOW_PROGRESS_FROM = 20_000
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def near_duplicate_groups(signatures: Mapping[str, Signature], max_distance: int = MAX_DISTANCE) -> dict[str, str]:
    """The group of each picture: near duplicates, and near duplicates of those, are one group; mirrored ones too.

    Every pair is compared, by matrix products: exact, whatever the pictures, in memory that grows with their number
    alone. On two free cores 10,000 pictures take 0.2 s and 100,000 take 7-9 s. A blank one is alone in its group.

    Args:
        signatures: hex content digest -> signature.
        max_distance: number of differing bits, 0-64; see ``MAX_DISTANCE``.

    Returns:
        Hex content digest -> the smallest digest of its group, its own when it is alone.
    """
    groups = {digest: digest for digest in signatures}
    # In this order the first of a group is its smallest digest.
    digests = sorted(digest for digest, signature in signatures.items() if not signature.blank)
    if len(digests) > 1:
        bits = np.array([signatures[digest].bits for digest in digests])
        mirrored = np.array([signatures[digest].mirrored() for digest in digests])
        roots = _components(bits, mirrored, max_distance)
        groups |= {digest: digests[root] for digest, root in zip(digests, roots.tolist(), strict=True)}
    return groups


def difference(first: Signature, second: Signature) -> tuple[int, bool]:
    """Number of bits in which two signatures differ, and whether that is after mirroring one of them."""
    straight = int(np.count_nonzero(first.bits != second.bits))
    turned = int(np.count_nonzero(first.bits != second.mirrored()))
    return min(straight, turned), turned < straight


def _components(bits: NDArray[np.bool_], mirrored: NDArray[np.bool_], max_distance: int) -> NDArray[np.int64]:
    """For each picture the smallest position in its group, int64 (pictures,).

    Mirroring leaves the even columns of a hash as they are. So one product over them, half of the bits, finds all
    candidates of both kinds; the few there are, three in a million among photographs, are compared in full.
    """
    count = len(bits)
    even = bits.reshape(count, SIDE, SIDE)[:, :, 0::2].reshape(count, BITS // 2)
    signs = np.where(even, np.float32(1), np.float32(-1))
    least = BITS // 2 - 2 * max_distance  # of a product of signs: equal bits less differing ones
    packed, packed_mirrored = np.packbits(bits, axis=1), np.packbits(mirrored, axis=1)
    roots = np.arange(count)
    memory = np.empty((min(count, _TILE),) * 2, np.float32)  # used again and again: fresh memory takes twice the time
    with _progress(count) as bar:
        for top, left in _tiles(count):
            rows, columns = signs[top : top + _TILE], signs[left : left + _TILE]
            product = np.matmul(rows, columns.T, out=memory[: len(rows), : len(columns)])
            bar.update()
            if product.max() < least:
                continue
            first, second = (positions.astype(np.int64) for positions in np.nonzero(product >= least))
            first, second = first + top, second + left
            new = (first < second) & (roots[first] != roots[second])
            first, second = first[new], second[new]
            near = _differing(packed[first], packed[second]) <= max_distance
            near |= _differing(packed[first], packed_mirrored[second]) <= max_distance
            _join(roots, first[near], second[near])
    return roots


def _tiles(count: int) -> Iterator[tuple[int, int]]:
    return ((top, left) for top in range(0, count, _TILE) for left in range(top, count, _TILE))


def _progress(count: int) -> AbstractContextManager[Progress]:
    if count < _SHOW_PROGRESS_FROM:
        return silent_progress()
    return progress_bar("Comparing pictures", sum(1 for _ in _tiles(count)), unit=" tiles")


def _differing(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    differing: NDArray[np.int64] = _ONES[first ^ second].sum(axis=1, dtype=np.int64)
    return differing


def _join(roots: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]) -> None:
    """Make one group of the groups of each pair; ``roots`` points to each group's smallest position, in place."""
    while len(first):
        a, b = roots[first], roots[second]
        np.minimum.at(roots, np.maximum(a, b), np.minimum(a, b))
        while (roots[roots] != roots).any():
            roots[:] = roots[roots]
        apart = roots[first] != roots[second]
        first, second = first[apart], second[apart]
