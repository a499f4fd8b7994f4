"""The resized pictures that a bundle keeps: for quantisation, and for checking an export."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import ModelBundle
from runtime.errors import DataError, EdgeExportError, ImageError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.preprocess import resize
from runtime.processors import processors
from runtime.spec import Preprocessing
from toolkit.even_choice import even_choice
from toolkit.records import DatasetIndex, ImageRecord
from toolkit.split import Share

#: Test pictures stored in a bundle for checking exports; 1,000 give an interval of +-2 points.
MAX_TEST_PICTURES = 1000
# Hands out a picture that is resized already, by its digest; None where it has none.
Ready = Callable[[str], "NDArray[Any] | None"]


@dataclass(frozen=True)
class Choice:
    """Which pictures a bundle keeps: positions in the index.

    Attributes:
        test: ascending, at most ``MAX_TEST_PICTURES``, evenly of all classes.
        calibration: training pictures, as many of each class as there are.
    """

    test: list[int]
    calibration: list[int]


@dataclass(frozen=True)
class StoredPictures:
    """Resized pictures that a bundle keeps: (count, height, width, 3), 0..255 each.

    Attributes:
        test: for checking an export.
        calibration: for quantisation.
        test_digests: hex sha256 of the files of the one ...
        calibration_digests: ... and of the other.
    """

    test: NDArray[Any]
    calibration: NDArray[Any]
    test_digests: tuple[str, ...] = ()
    calibration_digests: tuple[str, ...] = ()

    @classmethod
    def of_bundle(cls, folder: Path, preprocessing: Preprocessing, toolkit: str) -> StoredPictures | None:
        """Those of a bundle, sound to the checksum; None where none is there, or its pictures are other ones.

        Args:
            folder: of the bundle.
            preprocessing: that they must have been resized with ...
            toolkit: ... and the version that must have done it.
        """
        try:
            bundle = ModelBundle.load(folder)
            if bundle.spec.preprocessing != preprocessing or bundle.spec.provenance.get("toolkit") != toolkit:
                return None
            tests, calibration = bundle.test_pictures(), bundle.calibration_images()
            found = cls(tests.images, calibration, tests.digests, bundle.calibration_digests())
        except EdgeExportError:
            return None
        whole = len(found.calibration_digests) == len(calibration)
        return found if whole and {tests.images.dtype, calibration.dtype} == {_dtype(preprocessing)} else None

    def of(self, digests: Collection[str]) -> StoredPictures:
        """Those whose digest is among these."""
        test, learned = (
            [n for n, digest in enumerate(found) if digest in digests]
            for found in (self.test_digests, self.calibration_digests)
        )
        if (len(test), len(learned)) == (len(self.test_digests), len(self.calibration_digests)):
            return self
        return StoredPictures(
            self.test[test],
            self.calibration[learned],
            tuple(self.test_digests[n] for n in test),
            tuple(self.calibration_digests[n] for n in learned),
        )

    @cached_property
    def by_digest(self) -> dict[str, NDArray[Any]]:
        """Content digest -> picture."""
        digests = (*self.test_digests, *self.calibration_digests)
        return dict(zip(digests, (*self.test, *self.calibration), strict=True))


def choose_pictures(
    index: DatasetIndex,
    split: Mapping[Share, Sequence[int]],
    calibration_images: int,
    seed: int,
    drawable: Callable[[ImageRecord], bool] = lambda _image: True,
) -> Choice:
    """Choose which pictures the bundle keeps; content and seed decide, not the order.

    Args:
        index: the data set.
        split: share -> positions in it.
        calibration_images: wanted at most.
        seed: of the choice.
        drawable: whether a picture can be had, resized at least.
    """
    images = index.images
    training = [p for p in split["training"] if images[p].class_ids and drawable(images[p])]
    single = index.task == "single-label"
    test = [p for p in split["test"] if (images[p].class_ids or not single) and drawable(images[p])]
    return Choice(
        sorted(even_choice(images, test, MAX_TEST_PICTURES, seed)),
        even_choice(images, training, calibration_images, seed),
    )


def load_pictures(index: DatasetIndex, choice: Choice, preprocessing: Preprocessing, ready: Ready) -> StoredPictures:
    """Decode and resize the pictures that the bundle keeps, but for those that are there already.

    Args:
        index: the data set.
        choice: of the pictures.
        preprocessing: of the model.
        ready: asked first; the file of a picture that it has is not looked for.

    Returns:
        Those that could be had: pictures that were changed or removed since they were indexed are left out.

    Raises:
        DataError: none is left.
    """

    def load(image: ImageRecord) -> NDArray[Any] | None:
        found = ready(image.digest)
        if found is not None:
            return found
        try:
            data = read_image_bytes(image.path)
            whole = hashlib.sha256(data).hexdigest() == image.digest
            return resize(decode_image(data, image.path), preprocessing) if whole else None
        except ImageError:
            return None

    def stack(positions: Sequence[int]) -> tuple[NDArray[Any], tuple[str, ...]]:
        # Filled picture by picture: a thousand of them take 150 to 270 MB, and a list as well would double that.
        images = [index.images[position] for position in positions]
        pictures = np.empty((len(images), preprocessing.height, preprocessing.width, 3), _dtype(preprocessing))
        digests: list[str] = []
        for image, picture in zip(images, pool.map(load, images), strict=True):
            if picture is not None:
                pictures[len(digests)] = picture
                digests.append(image.digest)
        if images and not digests:
            raise DataError(
                f"the pictures in {shown(index.root)} were changed or removed while the training ran; run it again"
            )
        return pictures[: len(digests)], tuple(digests)

    with ThreadPoolExecutor(processors()) as pool:
        test, test_digests = stack(choice.test)
        calibration, calibration_digests = stack(choice.calibration)
    return StoredPictures(test, calibration, test_digests, calibration_digests)


def _dtype(preprocessing: Preprocessing) -> np.dtype[Any]:
    """Of what ``preprocess.resize`` gives."""
    return np.dtype(np.float32 if preprocessing.resample == "tf-bilinear" else np.uint8)
