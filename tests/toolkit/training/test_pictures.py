"""Batches of pictures: which, in which order, which view, and how much memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError
from runtime.images import decode_image
from runtime.preprocess import normalize
from runtime.spec import Preprocessing
from tests.toolkit.pictures import make_classes
from toolkit.dataset import ImageRecord, index_folder
from toolkit.training.pictures import Batches, PictureStore
from toolkit.views import MODERN, View, draw_view, render

SMALL = Preprocessing(height=8, width=12)


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    return list(index_folder(make_classes(tmp_path / "photos", {"a": 9, "b": 8})).images)


def expected(record: ImageRecord, view: View) -> np.ndarray:  # type: ignore[type-arg]
    return normalize(render(decode_image(record.path.read_bytes()), view, SMALL), SMALL)


@pytest.mark.parametrize("limit", [0, 3000, 10**9])
def test_batches_hold_what_was_ordered_whatever_fits_into_memory(records: list[ImageRecord], limit: int) -> None:
    order = np.array_split(np.random.default_rng(0).permutation(len(records)), 5)
    batches = Batches(records, SMALL, PictureStore(limit), seed=3)
    for number in range(2):
        found = list(batches.run(order, MODERN, number))
        assert [list(batch.positions) for batch in found] == [list(positions) for positions in order]
        for batch in found:
            for image, position in zip(batch.images, batch.positions, strict=True):
                record = records[position]
                view = draw_view(MODERN, 3, record.digest, number)
                np.testing.assert_array_equal(image, expected(record, view))


def test_without_augmentation_pictures_are_as_they_are(records: list[ImageRecord]) -> None:
    (batch,) = Batches(records, SMALL, PictureStore()).run([np.array([4, 1])], None)
    for image, position in zip(batch.images, (4, 1), strict=True):
        np.testing.assert_array_equal(image, expected(records[position], View()))


def test_no_batches_is_no_error(records: list[ImageRecord]) -> None:
    assert list(Batches(records, SMALL, PictureStore()).run([], MODERN)) == []


def test_the_store_decodes_what_fits_once(records: list[ImageRecord]) -> None:
    store = PictureStore(16 * 16 * 3 * 2)
    images = [store.get(record) for record in records[:3]]
    assert [store.get(record) is image for record, image in zip(records[:3], images, strict=True)] == [
        True,
        True,
        False,
    ]


def test_pictures_that_were_changed_or_went_are_told(records: list[ImageRecord]) -> None:
    batches = Batches(records, SMALL, PictureStore(0))
    Image.new("RGB", (5, 5)).save(records[2].path)
    with pytest.raises(DataError, match="was changed while the training ran"):
        list(batches.run([np.array([0, 1, 2])], MODERN))
    records[2].path.unlink()
    with pytest.raises(
        DataError, match="no such file, though it was there .*; put it back and the same command goes on"
    ):
        list(batches.run([np.array([2])], MODERN))
