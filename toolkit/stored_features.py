"""``features.npz`` of a bundle: what a later training needs to learn pictures again that it does not have.

A stored feature vector takes the place of its picture, so that classes can be added without losing the old ones
("rehearsal": S.-A. Rebuffi et al., "iCaRL", https://arxiv.org/abs/1611.07725, with features in place of pictures).

::

    digests    uint8 (pictures, 32): sha256 of each picture's file
    shares     uint8 (pictures,): 0 training, 1 validation, 2 test
    truth      bool (pictures, classes)
    features   float16 (pictures, features): of the picture as it is, by the bundle's backbone
    names      uint8: JSON, UTF-8; path and group of each picture
    signatures uint8 (pictures, 32): what each looks like, 256 bits of ``toolkit.signatures``, rows first
    spreads    float32 (pictures,): of the same; NaN where nobody looked

Bundles of older versions have neither of the last two.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from converters.bundle import FEATURES_FILE
from runtime.errors import ModelError
from runtime.file_kind import shown
from toolkit.even_choice import even_choice
from toolkit.head import Bools, Floats
from toolkit.records import ImageRecord
from toolkit.signatures import BITS, Signature
from toolkit.split import Share

#: Pictures that are kept, evenly of all classes; of the default network 2 kB each, of Inception v3 4 kB.
MOST_PICTURES = 20_000
# Bytes of the arrays, unpacked; 20,000 pictures of 2,048 features and 10,000 classes take 280 million.
_MOST_BYTES = 1 << 30
_SHARES: tuple[Share, ...] = get_args(Share)
_GROUP = re.compile("[0-9a-f]{16,128}")
_REQUIRED, _LOOKS = ("digests", "shares", "truth", "features", "names"), ("signatures", "spreads")
# Stands for a picture that nobody looked at.
_UNSEEN = Signature(np.zeros(BITS, np.bool_), math.nan)


@dataclass(frozen=True)
class StoredFeatures:
    """Pictures of a training as rows of features.

    Attributes:
        images: the pictures; their files need not be there any more.
        shares: the share of each.
        truth: bool (pictures, classes).
        features: float16 (pictures, features).
        signatures: content digest -> looks, of those that somebody looked at.
    """

    images: tuple[ImageRecord, ...]
    shares: tuple[Share, ...]
    truth: Bools
    features: NDArray[np.float16]
    signatures: Mapping[str, Signature] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def collect(
        cls,
        root: Path,
        images: Mapping[Share, Sequence[ImageRecord]],
        truth: Mapping[Share, Bools],
        features: Mapping[Share, Floats],
        signatures: Mapping[str, Signature],
        seed: int,
    ) -> StoredFeatures:
        """The rows of all shares, ``MOST_PICTURES`` at most, evenly of all classes.

        Args:
            root: folder of the pictures; their paths are stored in full.
            images: the pictures of each share ...
            truth: ... what is true of them ...
            features: ... and their features, float32 (pictures, features).
            signatures: content digest -> looks, where they are known.
            seed: of the choice.
        """
        rows = [(share, image) for share in _SHARES for image in images[share]]
        chosen = sorted(even_choice([image for _, image in rows], range(len(rows)), MOST_PICTURES, seed))
        place = root.resolve()
        records = tuple(_placed(rows[row][1], root, place) for row in chosen)
        limit = float(np.finfo(np.float16).max)
        stacked = np.concatenate([features[share] for share in _SHARES])[chosen]
        half = np.clip(stacked, -limit, limit).astype(np.float16)
        truths = np.concatenate([truth[share] for share in _SHARES])[chosen]
        looks = {image.digest: signatures[image.digest] for image in records if image.digest in signatures}
        return cls(records, tuple(rows[row][0] for row in chosen), truths, half, looks)

    def write(self, path: Path) -> None:
        """Write the file."""
        digests = b"".join(bytes.fromhex(image.digest) for image in self.images)
        names = [[str(image.path), image.group] for image in self.images]
        looks = [self.signatures.get(image.digest, _UNSEEN) for image in self.images]
        np.savez(
            path,
            digests=np.frombuffer(digests, np.uint8).reshape(-1, 32),
            shares=np.array([_SHARES.index(share) for share in self.shares], np.uint8),
            truth=self.truth,
            features=self.features,
            names=np.frombuffer(json.dumps(names).encode(), np.uint8),  # ASCII: surrogates come as escapes
            signatures=np.packbits([signature.bits for signature in looks], axis=1).reshape(-1, BITS // 8),
            spreads=np.array([signature.spread for signature in looks], np.float32),
        )

    @staticmethod
    def are_current(folder: Path) -> bool:
        """Whether a bundle has the file, with all that this version writes into it.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with zipfile.ZipFile(folder / FEATURES_FILE) as archive:
                return {f"{name}.npy" for name in (*_REQUIRED, *_LOOKS)} <= set(archive.namelist())
        except (FileNotFoundError, zipfile.BadZipFile):
            return False

    @classmethod
    def read(cls, folder: Path, classes: int, width: int) -> StoredFeatures | None:
        """The file of a bundle; None where it has none, as bundles of older versions.

        Args:
            folder: of the bundle.
            classes: of its model.
            width: features of a picture.

        Raises:
            ModelError: the file is damaged or belongs to another model.
        """
        path = folder / FEATURES_FILE
        if not path.exists():
            return None
        try:
            arrays = _read_arrays(path, classes, width)
            names = json.loads(arrays["names"].tobytes())
            return _checked(arrays, names)
        except Exception as error:  # zip, JSON, numpy and structure errors: all mean a damaged file
            raise ModelError(
                f"{shown(path)} is damaged: {error or type(error).__name__}; train anew without --from, on pictures of "
                "all classes"
            ) from error


def _placed(image: ImageRecord, root: Path, place: Path) -> ImageRecord:
    """The record with the full path of its file."""
    if root == place or not image.path.is_relative_to(root):
        return image
    return ImageRecord(place / image.path.relative_to(root), image.class_ids, image.digest, image.group)


def _read_arrays(path: Path, classes: int, width: int) -> dict[str, NDArray[Any]]:
    data = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
            raise ValueError("it is far too large")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        looks = _LOOKS if _LOOKS[0] in stored.files else ()
        arrays = {name: np.asarray(stored[name]) for name in (*_REQUIRED, *looks)}
    count = len(arrays["digests"])
    shapes = {"digests": (count, 32), "shares": (count,), "truth": (count, classes), "features": (count, width)}
    shapes |= {"signatures": (count, BITS // 8), "spreads": (count,)}
    dtypes = {"digests": "u1", "shares": "u1", "truth": "?", "features": "f2", "names": "u1"}
    dtypes |= {"signatures": "u1", "spreads": "f4"}
    for name, array in arrays.items():
        if array.dtype != np.dtype(dtypes[name]) or array.shape != shapes.get(name, array.shape):
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    return arrays


def _checked(arrays: Mapping[str, NDArray[Any]], names: Any) -> StoredFeatures:
    digests = [row.tobytes().hex() for row in arrays["digests"]]
    if len(set(digests)) != len(digests) or len(names) != len(digests):
        raise ValueError("its pictures are not told apart")
    if not np.isfinite(arrays["features"]).all():
        raise ValueError("a feature is no number")
    images = []
    for digest, (path, group), truth in zip(digests, names, arrays["truth"], strict=True):
        if not (isinstance(path, str) and isinstance(group, str) and _GROUP.fullmatch(group)):
            raise ValueError("a picture has no name or group")
        images.append(ImageRecord(Path(path), tuple(int(i) for i in truth.nonzero()[0]), digest, group))
    shares = tuple(_SHARES[int(number)] for number in arrays["shares"])
    return StoredFeatures(tuple(images), shares, arrays["truth"], arrays["features"], _looks(digests, arrays))


def _looks(digests: Sequence[str], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Signature]:
    """Content digest -> looks, of the pictures that somebody looked at."""
    if _LOOKS[0] not in arrays:
        return {}
    bits = np.unpackbits(arrays["signatures"], axis=1).astype(np.bool_)
    rows = zip(digests, bits, arrays["spreads"].tolist(), strict=True)
    return {digest: Signature(row, spread) for digest, row, spread in rows if math.isfinite(spread)}
