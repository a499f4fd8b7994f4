"""toolkit.stored_features: what is written comes back, and a large data set is cut evenly."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from converters.bundle import FEATURES_FILE
from tests.toolkit.earlier_bundles import forget_signatures
from tests.toolkit.test_split import records
from toolkit import stored_features
from toolkit.records import ImageRecord, targets_of
from toolkit.signatures import BITS, Signature
from toolkit.split import Share
from toolkit.stored_features import StoredFeatures

SHARES: tuple[Share, ...] = ("training", "validation", "test")


def collected(
    images: dict[Share, list[ImageRecord]],
    classes: int,
    root: Path = Path(),
    looks: dict[str, Signature] | None = None,
) -> StoredFeatures:
    random = np.random.default_rng(0)
    truth = {share: targets_of(images[share], classes) for share in images}
    features = {share: random.normal(0, 1, (len(images[share]), 8)).astype(np.float32) for share in images}
    return StoredFeatures.collect(root, images, truth, features, looks or {}, 0)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff'\n.jpg") if os.name != "nt" else "'.jpg"
    images: dict[Share, list[ImageRecord]] = {share: records(n, [3, 2]) for n, share in enumerate(SHARES)}
    images["test"] = [
        ImageRecord(tmp_path / odd, (), "ab" * 32, "0" * 64),
        ImageRecord(tmp_path / "猫.jpg", (0, 1), "cd" * 32),
    ]
    bits = np.random.default_rng(0).random(BITS) < 0.5
    before = collected(images, 2, tmp_path, {"ab" * 32: Signature(bits, 21.5)})
    before.write(tmp_path / FEATURES_FILE)
    after = StoredFeatures.read(tmp_path, 2, 8)
    assert after is not None
    assert (after.images, after.shares) == (before.images, before.shares)
    np.testing.assert_array_equal(after.truth, before.truth)
    np.testing.assert_array_equal(after.features, before.features)
    assert after.images[-2].path == tmp_path / odd
    assert set(after.signatures) == {"ab" * 32}
    np.testing.assert_array_equal(after.signatures["ab" * 32].bits, bits)
    assert after.signatures["ab" * 32].spread == 21.5
    assert StoredFeatures.are_current(tmp_path)


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    images: dict[Share, list[ImageRecord]] = {share: records(n, [3, 2]) for n, share in enumerate(SHARES)}
    for name in ("one.npz", "two.npz"):
        collected(images, 2).write(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_large_data_set_is_cut_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_features, "MOST_PICTURES", 60)
    images: dict[Share, list[ImageRecord]] = {
        "training": records(0, [500, 40, 5]),
        "validation": records(1, [50, 4, 1]),
        "test": records(2, [50, 4, 1]),
    }
    kept = collected(images, 3)
    assert len(kept) == 60
    assert kept.truth.sum(axis=0).tolist() == [27, 26, 7]
    assert set(kept.shares) == set(SHARES)
    assert len({image.digest for image in kept.images}) == 60


def test_no_file() -> None:
    assert StoredFeatures.read(Path("nothing"), 2, 8) is None


def test_features_beyond_half_precision() -> None:
    images: dict[Share, list[ImageRecord]] = {"training": records(0, [1]), "validation": [], "test": []}
    truth = {share: targets_of(images[share], 1) for share in images}
    features = {share: np.full((len(images[share]), 2), 1e6, np.float32) for share in images}
    found = StoredFeatures.collect(Path(), images, truth, features, {}, 0)
    assert np.isfinite(found.features).all()


def test_a_file_of_an_older_version(tmp_path: Path) -> None:
    images: dict[Share, list[ImageRecord]] = {share: records(n, [3, 2]) for n, share in enumerate(SHARES)}
    collected(images, 2).write(tmp_path / FEATURES_FILE)
    forget_signatures(tmp_path)
    found = StoredFeatures.read(tmp_path, 2, 8)
    assert found is not None and len(found) == 15 and not found.signatures
    assert not StoredFeatures.are_current(tmp_path)
    (tmp_path / FEATURES_FILE).write_bytes(b"")
    assert not StoredFeatures.are_current(tmp_path)
    assert not StoredFeatures.are_current(tmp_path / "none")
