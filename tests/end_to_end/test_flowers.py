"""Shows 3 and 4: real photographs, for both architectures whose weights are here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import Trained

# Bytes; a float32 file has four for each weight.
INT8_LIMITS = {"mobilenet_1.00_224": 3_600_000, "efficientnet_lite0": 4_200_000}

pytestmark = pytest.mark.slow


def test_accuracy(flower_model: Trained) -> None:
    accuracy = flower_model.train.accuracy["test"]
    assert accuracy.images >= 60
    assert accuracy.value >= 0.88


def test_the_second_run_reads_every_feature_from_the_cache(
    flower_model: Trained, flowers: Path, tmp_path: Path
) -> None:
    from toolkit.options import TrainOptions
    from toolkit.train import train

    told: list[str] = []
    options = TrainOptions(
        tmp_path / "model", flower_model.train.spec.backbone, name="flowers", cache_dir=flower_model.cache
    )
    again = train(flowers, options, notify=told.append)
    assert (again.from_cache, again.images) == (800, 800)
    assert "800 of 800 features from the cache, none computed" in told
    assert again.accuracy == flower_model.train.accuracy


def test_int8_loses_a_point_at_most(flower_model: Trained) -> None:
    float32, int8 = flower_model.conversion.report["files"]
    assert (float32["kind"], int8["kind"]) == ("float32", "int8")
    assert float32["accuracy_drop"] == 0.0
    assert float32["top1_agreement"] == 1.0
    assert int8["accuracy_drop"] <= 1.0
    assert int8["top1_agreement"] >= 0.95


def test_size(flower_model: Trained) -> None:
    assert flower_model.file("int8").stat().st_size <= INT8_LIMITS[flower_model.train.spec.backbone]
