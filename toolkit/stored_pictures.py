"""The resized pictures that a bundle keeps: for quantisation, and for checking an export."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bundle import ModelBundle
from runtime.errors import DataError, EdgeExportError
from runtime.file_kind import shown
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import processors
from runtime.preprocess import resize
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

    Raises:
        DataError: a file was changed since it was indexed.
        ImageError: it cannot be read any more.
    """

    def load(image: ImageRecord) -> NDArray[Any]:
        found = ready(image.digest)
        if found is not None:
            return found
        data = read_image_bytes(image.path)
        if hashlib.sha256(data).hexdigest() != image.digest:
            raise DataError(f"{shown(image.path)} was changed while the training ran; run it again")
        return resize(decode_image(data, image.path), preprocessing)

    def stack(images: list[ImageRecord]) -> NDArray[Any]:
        # Filled picture by picture: a thousand of them take 150 to 270 MB, and a list as well would double that.
        shape = (len(images), preprocessing.height, preprocessing.width, 3)
        pictures = np.empty(shape, _dtype(preprocessing))
        for number, picture in enumerate(pool.map(load, images)):
            pictures[number] = picture
        return pictures

    test, calibration = ([index.images[p] for p in positions] for positions in (choice.test, choice.calibration))
    with ThreadPoolExecutor(processors()) as pool:
        return StoredPictures(
            stack(test),
            stack(calibration),
            tuple(image.digest for image in test),
            tuple(image.digest for image in calibration),
        )


def _dtype(preprocessing: Preprocessing) -> np.dtype[Any]:
    """Of what ``preprocess.resize`` gives."""
    return np.dtype(np.float32 if preprocessing.resample == "tf-bilinear" else np.uint8)
