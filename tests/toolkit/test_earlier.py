"""``toolkit train --from``: new classes come in, old ones stay, and nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bundle import ModelBundle
from tests.toolkit.conftest import Trained
from tests.toolkit.earlier_bundles import NEW, OLD, digests, pick, stored
from toolkit import features
from toolkit.cli import main
from toolkit.earlier import Earlier
from toolkit.head import HeadOptions
from toolkit.options import TrainOptions
from toolkit.stored_features import StoredFeatures
from toolkit.train import TrainResult, train


@pytest.fixture(scope="module")
def extended(
    first: Path, shapes: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainResult, list[str]]:
    """The other two shapes on top, from a folder that holds only those."""
    root = tmp_path_factory.mktemp("extended")
    pictures = pick(shapes, root / "more", *NEW)
    said: list[str] = []
    return train(pictures, TrainOptions(root / "model", earlier=first, cache_dir=cache_dir), said.append), said


def test_new_classes_come_in_and_old_ones_stay(extended: tuple[TrainResult, list[str]], shapes: Path) -> None:
    result, said = extended
    assert tuple(result.spec.labels) == (*OLD, *NEW)
    assert (result.spec.name, result.spec.backbone) == ("half", "mobilenet_1.00_224")
    assert result.images == 160
    assert any(
        line.endswith("80 pictures that are not here are learned again from their stored features") for line in said
    )
    test = result.evaluations["test"]
    assert test.accuracy.value >= 0.9
    assert set(test.truth.argmax(axis=1)) == {0, 1, 2, 3}
    assert result.accuracy["training"].value >= 0.95
    assert {image.digest for image in stored(result.folder).images} == digests(shapes)


def test_it_is_as_good_as_one_training_on_all(extended: tuple[TrainResult, list[str]], trained: Trained) -> None:
    result, _ = extended
    model = ModelBundle.load(result.folder)
    both = [StoredFeatures.read(folder, 4, 1024) for folder in (result.folder, trained.result.folder)]
    assert both[0] is not None and both[1] is not None
    whole = {image.digest: row for image, row in zip(both[1].images, both[1].features, strict=True)}
    for image, row in zip(both[0].images, both[0].features, strict=True):
        np.testing.assert_array_equal(row, whole[image.digest])
    assert [i for i, _ in enumerate(model.spec.labels)] == [0, 1, 2, 3]
    assert abs(result.accuracy["test"].value - trained.result.accuracy["test"].value) <= 0.1


def test_no_picture_changes_its_share(first: Path, extended: tuple[TrainResult, list[str]]) -> None:
    before, after = stored(first), stored(extended[0].folder)
    share_of = dict(zip((image.digest for image in after.images), after.shares, strict=True))
    assert len(before) == 80
    assert [share_of[image.digest] for image in before.images] == list(before.shares)


def test_what_the_bundle_keeps_of_old_classes(first: Path, extended: tuple[TrainResult, list[str]]) -> None:
    old, new = ModelBundle.load(first), ModelBundle.load(extended[0].folder)
    before = dict(zip(old.test_pictures().digests, old.test_pictures().images, strict=True))
    after = new.test_pictures()
    assert set(after.truth.argmax(axis=1)) == {0, 1, 2, 3}
    kept = [digest for digest in after.digests if digest in before]
    assert set(kept) == set(before)
    for digest, image in zip(after.digests, after.images, strict=True):
        if digest in before:
            np.testing.assert_array_equal(image, before[digest])
    calibration = new.calibration_digests()
    assert set(old.calibration_digests()) < set(calibration)
    assert len(calibration) == len(new.calibration_images())
    entries = {e["sha256"]: e for e in json.loads((new.folder / "test_split.json").read_bytes())["images"]}
    for digest in before:
        path = Path(entries[digest]["path"])
        assert path.is_absolute() and path.parent.name in OLD
        assert entries[digest]["labels"] == [path.parent.name]


def test_the_scores_are_the_models(extended: tuple[TrainResult, list[str]]) -> None:
    from runtime.preprocess import normalize

    bundle = ModelBundle.load(extended[0].folder)
    listed = json.loads((bundle.folder / "test_split.json").read_bytes())["images"]
    pictures = bundle.test_pictures()
    scores = np.asarray(bundle.keras_model()([normalize(pictures.images, bundle.spec.preprocessing)], training=False))
    # Rows of stored features are float16: 11 significant bits.
    np.testing.assert_allclose(np.array([entry["scores"] for entry in listed]), scores, rtol=0, atol=5e-3)


def test_the_same_folder_again_computes_and_writes_nothing(
    first: Path, shapes: Path, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Path(shutil.copytree(first, tmp_path / "model"))
    options = TrainOptions(model, earlier=model, cache_dir=cache_dir)
    more = pick(shapes, tmp_path / "more", *NEW)
    assert train(more, options).written

    def refuse(*_args: Any, **_more: Any) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr(features, "compute", refuse)
    again = train(more, options)
    assert (again.written, again.from_cache, again.images) == (False, 80, 160)
    assert train(shapes, options).from_cache == 160


def test_replaced_in_place(first: Path, shapes: Path, cache_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(first, tmp_path / "model"))
    more = pick(shapes, tmp_path / "more", "circle")
    result = train(more, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert tuple(ModelBundle.load(model).spec.labels) == (*OLD, "circle")
    assert result.evaluations["test"].accuracy.value >= 0.9
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    more = pick(shapes, tmp_path / "again", "triangle")
    third = train(more, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert tuple(third.spec.labels) == (*OLD, "circle", "triangle")
    assert third.accuracy["training"].value >= 0.95
    assert set(ModelBundle.load(model).test_pictures().truth.argmax(axis=1)) == {0, 1, 2, 3}


def test_more_pictures_of_an_old_class_and_a_relabelled_one(
    first: Path, shapes: Path, cache_dir: Path, tmp_path: Path
) -> None:
    square = sorted((shapes / "square").iterdir())[0]
    (tmp_path / "fixed" / "plus").mkdir(parents=True)
    shutil.copy(square, tmp_path / "fixed" / "plus" / "was_a_square.jpg")
    (tmp_path / "fixed" / "square").mkdir()
    shutil.copy(sorted((shapes / "circle").iterdir())[0], tmp_path / "fixed" / "square" / "extra.jpg")
    model = tmp_path / "model"
    result = train(tmp_path / "fixed", TrainOptions(model, earlier=first, cache_dir=cache_dir))
    assert tuple(result.spec.labels) == OLD
    assert result.images == 81
    found = stored(model)
    digest = hashlib.sha256(square.read_bytes()).hexdigest()
    (row,) = [n for n, image in enumerate(found.images) if image.digest == digest]
    assert found.truth[row].tolist() == [True, False]
    assert found.truth.sum(axis=0).tolist() == [41, 40]
    (before,) = [s for i, s in zip(stored(first).images, stored(first).shares, strict=True) if i.digest == digest]
    assert found.shares[row] == before


def test_steps_begin_with_the_earlier_head(first: Path, shapes: Path, cache_dir: Path, tmp_path: Path) -> None:
    more = pick(shapes, tmp_path / "more", "circle")
    options = TrainOptions(
        tmp_path / "model", earlier=first, cache_dir=cache_dir, head=HeadOptions(steps=1, learning_rate=1e-9)
    )
    train(more, options)
    earlier, later = (Earlier.open(replace(options, earlier=folder)) for folder in (first, tmp_path / "model"))
    assert earlier is not None and later is not None
    ours, theirs = later.head.layers[0].kernel, earlier.head.layers[0].kernel
    np.testing.assert_allclose(ours[:, :2] / theirs, np.full_like(theirs, 1), rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours[:, 2], 0, atol=1e-6)


def test_the_command(
    first: Path, shapes: Path, cache_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = pick(shapes, tmp_path / "more", "circle")
    words = ["train", "--from", str(first), str(more), "--output-dir", str(tmp_path / "model"), "--json"]
    assert main([*words, "--cache-dir", str(cache_dir)]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == [*OLD, "circle"]
    assert main(["train", "--from", str(tmp_path / "no"), str(more)]) == 2
    assert "no such model folder" in capsys.readouterr().err
