"""What a training says of itself is true of its mode: who had seen what, and how much each class counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.toolkit.earlier_bundles import SMALL
from tests.toolkit.pictures import make_classes
from toolkit.class_balance import ClassBalance
from toolkit.head import HeadOptions, class_weights
from toolkit.options import TrainOptions
from toolkit.split import SplitOptions
from toolkit.train import train
from toolkit.training.options import FinetuneOptions

SAW = "Pictures of classes that the head never saw"


class Told(NamedTuple):
    """What a training said, its metrics and its page."""

    lines: list[str]
    metrics: dict[str, Any]
    page: str


def told(photos: Path, options: TrainOptions) -> Told:
    lines: list[str] = []
    folder = train(photos, options, lines.append).folder
    return Told(lines, json.loads((folder / "metrics.json").read_bytes()), (folder / "report.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classes(tmp_path_factory.mktemp("says") / "photos", {"a": 24, "b": 10, "c": 10}, start=900)


@pytest.fixture
def options(tmp_path: Path, cache_dir: Path) -> TrainOptions:
    shares = SplitOptions(20, 20)
    return TrainOptions(
        tmp_path / "model", SMALL, weights="none", cache_dir=cache_dir, near_duplicates=False, split=shares
    )


def test_a_frozen_network(photos: Path, options: TrainOptions) -> None:
    said = told(photos, options)
    assert set(said.metrics["held_out"]) == {"a", "b", "c"}
    assert SAW in said.page
    assert "unknown classes" not in said.metrics["facts"]
    assert "Measured on the training and validation pictures, each answered by a head that never saw it." in said.page
    (line,) = [line for line in said.lines if line.startswith("classes are")]
    assert line == said.metrics["facts"]["class weights"]
    assert line.startswith("classes are balanced (--class-weights auto) by these weights of a picture: a 0.")
    assert list(said.metrics["class_weights"]) == ["a", "b", "c"]
    assert said.metrics["class_weights"]["a"] < 1 < said.metrics["class_weights"]["b"]


def test_by_steps_validation_is_unseen(photos: Path, options: TrainOptions) -> None:
    alike = HeadOptions(class_weights="none", steps=3)
    said = told(photos, replace(options, head=alike))
    assert "Measured on the validation pictures, from which no weight was learned." in said.page
    (line,) = [line for line in said.lines if line.startswith("classes are")]
    assert line.startswith("classes are not balanced, every picture counts the same (--class-weights none): a has ")
    assert said.metrics["class_weights"] is None


def test_a_trained_network_has_seen_every_class(photos: Path, options: TrainOptions, tmp_path: Path) -> None:
    said = told(photos, replace(options, mode="finetune", tuning=FinetuneOptions(epochs=1)))
    assert said.metrics["held_out"] == {}
    assert SAW not in said.page
    assert said.metrics["facts"]["unknown classes"].startswith("not measured: a head can be trained again without")
    assert "the network itself has learned from all of them" in said.page
    # Its features are what a head on top of it learns from; that has seen the classes as well.
    again = told(photos, replace(options, architecture=None, earlier=tmp_path / "model", output_dir=tmp_path / "on"))
    assert again.metrics["held_out"] == {}
    assert again.metrics["facts"]["unknown classes"].startswith("not measured")


def test_balance_in_words() -> None:
    def words(counts: list[int], choice: Any = "auto") -> str:
        import numpy as np

        truth = np.repeat(np.eye(len(counts), dtype=np.bool_), counts, axis=0)
        labels = tuple(f"class {n}" for n in range(len(counts)))
        return str(ClassBalance(labels, counts, choice, class_weights(truth, choice)))

    assert words([10, 19]) == "every picture counts the same: no class has 2 times the pictures of another"
    assert words([10, 30], "none").endswith("(--class-weights none): class 1 has 30 training pictures, class 0 10")
    assert words([10, 30]).endswith("weights of a picture: class 1 0.67, class 0 2.00")
    assert words([*range(1, 20)]).endswith("weights of a picture: class 18 0.53, class 0 10.00, the others between")
