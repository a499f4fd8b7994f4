"""toolkit.features: random views are computed once, like the pictures themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.toolkit.pictures import make_classes
from toolkit import features
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import Backbone, load_backbone
from toolkit.dataset import index_folder
from toolkit.features import FeatureTable, extract_features
from toolkit.prepare import preprocessing_of
from toolkit.views import MODERN, Augmentation, CachedViews

SMALL = find_architecture("mobilenet_0.25_128")
PIXELS = preprocessing_of(SMALL)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return load_backbone(SMALL, weights="none", cache_dir=tmp_path_factory.mktemp("cache"))


def extract(backbone: Backbone, root: Path, cache: Path, views: CachedViews | None) -> FeatureTable:
    images = index_folder(root).images
    viewed = {image.digest for image in images if image.class_id == 0}
    return extract_features(backbone, PIXELS, images, cache, views, viewed)


def test_each_vector_is_computed_once(backbone: Backbone, tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 4, "b": 3})
    views = CachedViews(MODERN, 3, 0)
    first = extract(backbone, root, tmp_path / "cache", views)
    assert (first.computed, first.from_cache) == (7 + 4 * 3, 0)
    assert {len(vectors) for vectors in first.views.values()} == {3}
    assert len(first.views) == 4, "only of those that were to have views"
    again = extract(backbone, root, tmp_path / "cache", views)
    assert (again.computed, again.from_cache) == (0, 7)
    for digest, vectors in first.views.items():
        assert vectors.tobytes() == again.views[digest].tobytes()
        assert not np.array_equal(vectors[0], vectors[1])
    more = extract(backbone, root, tmp_path / "cache", CachedViews(MODERN, 5, 0))
    assert more.computed == 4 * 2, "two more views of each"
    assert all(np.array_equal(more.views[d][:3], first.views[d]) for d in first.views)
    assert extract(backbone, root, tmp_path / "cache", None).computed == 0


@pytest.mark.parametrize("other", [CachedViews(MODERN, 1, 1), CachedViews(Augmentation(random_crop=20), 1, 0)])
def test_other_draws_are_other_vectors(backbone: Backbone, tmp_path: Path, other: CachedViews) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    first = extract(backbone, root, tmp_path / "cache", CachedViews(MODERN, 1, 0))
    second = extract(backbone, root, tmp_path / "cache", other)
    assert second.computed == 3
    assert all(not np.array_equal(first.views[d], second.views[d]) for d in first.views)


def test_a_view_that_is_the_picture_has_its_features(backbone: Backbone, tmp_path: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    table = extract(backbone, root, tmp_path / "cache", CachedViews(Augmentation(), 1, 0))
    for digest, vectors in table.views.items():
        np.testing.assert_allclose(vectors[0], table.vectors[digest], rtol=1e-5, atol=1e-6)


def test_an_interruption_keeps_whole_pictures(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_classes(tmp_path / "photos", {"a": 8, "b": 3})
    views = CachedViews(MODERN, 2, 0)
    real = features.compute

    def interrupted(*args: object, **options: object) -> object:
        for number, result in enumerate(real(*args, **options)):  # type: ignore[arg-type]
            if number == 5:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(features, "compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(backbone, root, tmp_path / "cache", views)
    monkeypatch.setattr(features, "compute", real)
    rest = extract(backbone, root, tmp_path / "cache", views)
    assert (rest.from_cache, rest.computed) == (5, 3 * 3 + 3), "five pictures of class a with both views are there"
    whole = extract(backbone, root, tmp_path / "other cache", views)
    for digest, vector in whole.vectors.items():
        np.testing.assert_array_equal(vector, rest.vectors[digest])
    for digest, vectors in whole.views.items():
        np.testing.assert_array_equal(vectors, rest.views[digest])
