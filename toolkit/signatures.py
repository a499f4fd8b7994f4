"""What a picture looks like in 256 bits, so that copies of it are known again; kept in the feature cache."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from runtime.images import upright_rgb
from toolkit.feature_cache import FeatureCache

if TYPE_CHECKING:
    from PIL.Image import Image

# Rows and columns of the hash. 8, the usual size, does not tell pictures apart: among 800 flower photographs pairs
# of different flowers come as close as 12 of 64 bits, drawn shapes as 2, while a brightened copy differs by 10. With
# 16 the closest different flowers differ by 84 of 256 bits, a copy by some 30 (see near_duplicates.MAX_DISTANCE).
SIDE = 16
#: Length of a signature.
BITS = SIDE * SIDE
#: A picture is blank when no colour channel's standard deviation is larger, of 255. A lens cap's noise stays below
#: after shrinking; the plainest of 800 flower photographs has 21, the plainest of 800 drawn shapes 16.
BLANK_SPREAD = 4.0
# JPEG is decoded at a half, quarter or eighth when at least this many pixels a side remain: twice what the hash
# looks at (4 x SIDE).
_DECODE_SIDE = 128
# Signatures are stored when this many seconds have passed: what a kill can cost.
_STORE_EVERY = 1.0
_LEVELS = np.arange(256, dtype=np.int64)
_SPACE = hashlib.sha256(f"edge-export-toolkit picture signature 1\nphash {SIDE}".encode()).hexdigest()

#: Is shown a picture that was decoded at full size: upright, RGB, as ``runtime.images.decode_image`` gives it.
Whole = Callable[["Image"], object]


@dataclass(frozen=True)
class Signature:
    """What is known of a picture's looks.

    Attributes:
        bits: bool (256,), which of the 16 x 16 lowest frequencies are above their median; rows first.
        spread: standard deviation of the channel that varies most, 0-127.5.
    """

    bits: NDArray[np.bool_]
    spread: float

    @property
    def blank(self) -> bool:
        """Whether the picture is nearly of one colour. Its bits are noise then and compare with nothing."""
        return self.spread <= BLANK_SPREAD

    def mirrored(self) -> NDArray[np.bool_]:
        """The bits of the picture mirrored left to right, bool (256,); some near the median may be wrong.

        Mirroring changes the sign of every odd horizontal frequency. Measured on 800 photographs, the bits of the
        mirrored picture differ from these by 6 in the median and by 30 at most.
        """
        bits = self.bits.reshape(SIDE, SIDE).copy()
        bits[:, 1::2] ^= True
        mirrored: NDArray[np.bool_] = bits.reshape(BITS)
        return mirrored


def perceptual_hash(image: Image) -> NDArray[np.bool_]:
    """The DCT hash of a decoded picture, of any mode and size, bool (256,)."""
    import imagehash

    bits: NDArray[np.bool_] = np.array(imagehash.phash(image, hash_size=SIDE).hash, np.bool_).reshape(BITS)
    return bits


def signature_of(image: Image, name: object = "picture", whole: Whole | None = None) -> Signature:
    """Decode a picture that ``runtime.images.open_image`` opened, JPEG at reduced size, and sum its looks up.

    Takes 1-2 ms for a JPEG file of 100 kB. The picture cannot be decoded at full size afterwards.

    Args:
        image: opened, not loaded.
        name: what to call it in an error.
        whole: is shown the picture where it was too small to be decoded at reduced size.

    Raises:
        ImageError: damaged or truncated.
    """
    size = image.size
    image.draft("RGB", (_DECODE_SIDE, _DECODE_SIDE))
    reduced = image.size != size
    picture = upright_rgb(image, name)
    if whole is not None and not reduced:
        whole(picture)
    spread = max(_channel_spreads(picture))
    return Signature(perceptual_hash(picture), spread)


def _channel_spreads(picture: Image) -> list[float]:
    """Standard deviation of each channel, as ``PIL.ImageStat`` gives it, in half the time; of an RGB picture."""
    counts = np.array(picture.histogram(), np.int64).reshape(-1, 256)
    pixels = picture.width * picture.height
    sums, squares = (counts @ _LEVELS).tolist(), (counts @ _LEVELS**2).tolist()
    return [math.sqrt((square - total**2 / pixels) / pixels) for total, square in zip(sums, squares, strict=True)]


class SignatureCache:
    """Signatures by content digest, computed once for all runs; any thread may ask.

    They lie in the feature cache. What is new is stored every second and when the block ends.

    Args:
        cache_dir: of the toolkit; the cache is ``features.sqlite`` in it.
        notify: is told in one line where the cache is damaged.

    Raises:
        DataError: the cache cannot be used.
    """

    def __init__(self, cache_dir: Path, notify: Callable[[str], None] = lambda _message: None) -> None:
        self._cache = FeatureCache(cache_dir / "features.sqlite", notify)
        self._lock = threading.Lock()
        self._fresh: dict[str, NDArray[np.float32]] = {}
        self._expected: dict[str, NDArray[np.float32] | None] = {}
        self._stored = time.monotonic()

    def __enter__(self) -> SignatureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock, self._cache:
            if self._fresh:
                self._cache.put(_SPACE, self._fresh)

    def expect(self, digests: Sequence[str]) -> None:
        """Look several signatures up at once, which is quicker, for the calls of ``signature`` that follow.

        Args:
            digests: hex sha256 of the whole files.

        Raises:
            DataError: the cache cannot be used.
        """
        with self._lock:
            self._expected |= {**dict.fromkeys(digests), **self._cache.get(_SPACE, digests)}

    def signature(self, digest: str, image: Image, name: object = "picture", whole: Whole | None = None) -> Signature:
        """The signature of a picture, from the cache or from its pixels.

        Args:
            digest: hex sha256 of the whole file.
            image: opened by ``runtime.images.open_image``, not loaded; left so when the cache has the answer.
            name: what to call it in an error.
            whole: see ``signature_of``; of use where pixels are needed for something else as well.

        Raises:
            ImageError: damaged or truncated.
            DataError: the cache cannot be used.
        """
        with self._lock:
            if digest not in self._expected:
                self._expected |= self._cache.get(_SPACE, [digest])
            vector = self._expected.pop(digest, None)
        if vector is not None and vector.shape == (SIDE + 1,):
            return _from_vector(vector)
        signature = signature_of(image, name, whole)
        with self._lock:
            self._fresh[digest] = _to_vector(signature)
            if time.monotonic() - self._stored >= _STORE_EVERY:
                self._cache.put(_SPACE, self._fresh)
                self._fresh, self._stored = {}, time.monotonic()
        return signature


def _to_vector(signature: Signature) -> NDArray[np.float32]:
    """16 bits a float, which holds whole numbers up to 2 ** 24 exactly; the spread last."""
    words = np.packbits(signature.bits).view(">u2")
    return np.append(words, np.float32(signature.spread)).astype(np.float32)


def _from_vector(vector: NDArray[np.float32]) -> Signature:
    words = vector[:SIDE].astype(">u2")
    return Signature(np.unpackbits(words.view(np.uint8)).astype(np.bool_), float(vector[SIDE]))
