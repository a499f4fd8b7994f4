"""What options of training leave in the bundle and in metrics.json; a small network with random weights."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bundle import MODEL_FILE, ModelBundle
from runtime.errors import UsageError
from tests.toolkit.pictures import make_classes
from toolkit.head import HeadOptions
from toolkit.options import Reports, TrainOptions, best_settings
from toolkit.prepare import prepare
from toolkit.records import targets_of
from toolkit.train import train
from toolkit.views import MODERN

HOSTILE = 'b "quoted" <b>猫'


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes and pictures of none."""
    return make_classes(tmp_path_factory.mktemp("options") / "photos", {"a": 70, HOSTILE: 70, "_background_": 40})


@pytest.fixture
def options(tmp_path: Path, cache_dir: Path) -> TrainOptions:
    small = TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir, near_duplicates=False)
    return replace(small, architecture="mobilenet_0.25_128", weights="none")


def metrics_of(folder: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_bytes())
    return metrics


@pytest.mark.parametrize(("reject", "least", "most"), [("off", 0, 0), (0.05, 1, 8), ("auto", 0, 8), (0.4, 40, 64)])
def test_how_many_of_the_known_are_rejected(
    photos: Path, options: TrainOptions, reject: Any, least: int, most: int
) -> None:
    result = train(photos, replace(options, reject=reject))
    rejection = metrics_of(result.folder)["rejection"]
    assert least <= rejection["known_rejected"]["correct"] <= most
    held_out = rejection["known_rejected"]["images"] + rejection["negatives_rejected"]["images"]
    assert held_out == sum(len(result.evaluations[share].sources) for share in ("training", "validation"))
    spec = ModelBundle.load(result.folder).spec
    assert spec.unknown_below == rejection["unknown_below"] == result.spec.unknown_below
    assert (spec.unknown_below == 0) == (reject == "off" or rejection["known_rejected"]["correct"] == 0)


def test_metrics_and_report(photos: Path, options: TrainOptions) -> None:
    result = train(photos, options)
    metrics = metrics_of(result.folder)
    assert metrics["schema_version"] == 2
    assert {"penalty", "accuracy_by_folds", "temperature", "rejection", "held_out", "thresholds", "split"} <= set(
        metrics
    )
    assert metrics["held_out"] == {}, "with two classes none can be left out"
    shares = ("training", "validation", "test")
    negatives = metrics["pictures"]["negatives"]
    assert sum(negatives.values()) == 40
    assert {
        share: metrics["evaluations"][share]["unknown"]["negatives_rejected"]["images"] for share in shares
    } == negatives
    assert sum(metrics["accuracy"][share]["images"] for share in shares) == 140
    report = (result.folder / "report.html").read_text("utf-8")
    assert "<b>猫" not in report
    assert "猫" in report
    bundle = ModelBundle.load(result.folder)
    assert tuple(bundle.spec.labels) == ("a", HOSTILE)
    assert bundle.is_sound()


def test_training_by_steps(photos: Path, options: TrainOptions) -> None:
    said: list[str] = []
    by_steps = replace(options, head=HeadOptions(steps=11), reports=Reports(interval=5), output_dir=options.output_dir)
    first = train(photos, by_steps, notify=said.append)
    reports = [line for line in said if "Cross entropy = " in line]
    assert [line.split("Step ")[1].split(":")[0] for line in reports] == ["0", "5", "10"]
    curves = metrics_of(first.folder)["curves"]
    assert any(series["x"] == [0, 5, 10] for curve in curves for series in curve["series"])
    assert metrics_of(first.folder)["accuracy_by_folds"] is None
    again = train(photos, by_steps)
    assert not again.written, "one seed, one model"
    other = replace(
        by_steps, seed=1, head=HeadOptions(steps=11, seed=1), output_dir=options.output_dir.with_name("other")
    )
    digests = {ModelBundle.load(r.folder).spec.provenance["model"] for r in (first, train(photos, other))}
    assert len(digests) == 2


def test_rows_of_what_is_learned(photos: Path, options: TrainOptions) -> None:
    said: list[str] = []
    prepared = prepare(photos, replace(options, views=2, augmentation=MODERN), said.append)
    assert "140 pictures in 2 classes and 40 of no class, 0 files skipped" in said
    assert any(" computed, each view counted, in " in line for line in said)
    images = prepared.images("training")
    plain, both = prepared.data("training"), prepared.data("training", views=True)
    assert len(both) == 3 * len(plain) == 3 * len(images)
    np.testing.assert_array_equal(both.features[: len(plain)], plain.features)
    np.testing.assert_array_equal(plain.truth, targets_of(images, 2))
    assert (~plain.truth.any(axis=1)).sum() == sum(not image.class_ids for image in images) > 0
    assert both.plain.sum() == len(plain)
    assert both.plain[: len(plain)].all()
    for row, image in enumerate(images):
        views = np.flatnonzero((both.groups == plain.groups[row]) & ~both.plain)
        np.testing.assert_array_equal(both.features[views], prepared.table.views[image.digest])
        np.testing.assert_array_equal(both.truth[views], plain.truth[[row, row]])
    assert len(prepared.data("test", views=True)) == len(prepared.images("test")), "what is tested has no views"
    numbers = [set(prepared.data(share).groups) for share in ("training", "validation", "test")]
    assert sum(map(len, numbers)) == len(set.union(*numbers)) == 180


def test_the_best_settings_leave_what_was_said() -> None:
    best = best_settings(TrainOptions())
    assert (best.architecture, best.input_size, best.pooling) == ("efficientnet_lite0", 288, "avg-max")
    said = best_settings(TrainOptions(architecture="mobilenet_0.25_128", pooling="avg"))
    assert (said.architecture, said.input_size, said.pooling) == ("mobilenet_0.25_128", 160, "avg")
    assert best_settings(TrainOptions(architecture="inception_v3")).input_size == 384
    assert best_settings(TrainOptions(input_size=224)).input_size == 224
    tuned = best_settings(TrainOptions(mode="finetune"))
    assert (tuned.input_size, tuned.tuning.train_size, best.tuning.train_size) == (288, 224, None)
    with pytest.raises(UsageError, match="--best chooses the network, and --from brings one"):
        best_settings(TrainOptions(earlier=Path("model")))
    with pytest.raises(UsageError, match="the pooling must be one of avg, avg-max, not 'max'"):
        TrainOptions(pooling="max")  # type: ignore[arg-type]


def test_the_pooling_is_kept(photos: Path, options: TrainOptions) -> None:
    result = train(photos, replace(options, pooling="avg-max"))
    assert result.spec.provenance["pooling"] == "avg-max"
    model = result.folder / MODEL_FILE
    with zipfile.ZipFile(model) as archive:
        config = json.loads(archive.read("config.json"))
    kinds = {layer["name"]: layer["class_name"] for layer in config["config"]["layers"]}
    assert (kinds["max_pool"], kinds["features"]) == ("MaxPooling2D", "Concatenate")
