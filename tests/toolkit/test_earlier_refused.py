"""``toolkit train --from``: bundles that do not fit, are damaged or of an older version, and what is said of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bundle import CALIBRATION_FILE, FEATURES_FILE, MODEL_FILE, ModelBundle
from runtime.errors import DataError, EdgeExportError, ModelError, UsageError
from tests.toolkit.conftest import Trained
from tests.toolkit.earlier_bundles import NEW, OLD, SMALL, pick, small
from toolkit.earlier import Earlier
from toolkit.options import TrainOptions
from toolkit.train import train


def test_bundles_that_cannot_be_used(first: Path, trained: Trained, cache_dir: Path, tmp_path: Path) -> None:
    def asked(expected: type[EdgeExportError], match: str, **options: Any) -> None:
        with pytest.raises(expected, match=match) as caught:
            given = {"earlier": first, "cache_dir": cache_dir} | options
            train(trained.pictures, TrainOptions(tmp_path / "model", **given))
        assert "\n" not in str(caught.value)

    asked(UsageError, "no such model folder", earlier=tmp_path / "nothing")
    asked(ModelError, "is not a model bundle of toolkit train", earlier=trained.pictures)
    asked(UsageError, "--mode scratch begins with random weights, --from with trained ones", mode="scratch")
    asked(UsageError, f"--architecture {SMALL}: .* is a mobilenet_1.00_224; leave", architecture=SMALL)
    asked(UsageError, "--input-size 160: .* takes pictures of 224 pixels; leave", input_size=160)
    asked(UsageError, "--pooling avg-max: .* has the features of --pooling avg; leave", pooling="avg-max")
    asked(UsageError, "is a single-label model; leave --multi-label out", task="multi-label")
    assert not (tmp_path / "model").exists()


def test_a_bundle_of_an_older_version(first: Path, shapes: Path, cache_dir: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(first, tmp_path / "old"))
    (old / FEATURES_FILE).unlink()
    images = ModelBundle.load(old).calibration_images()
    np.savez(old / CALIBRATION_FILE, images=images)
    options = TrainOptions(tmp_path / "model", earlier=old, cache_dir=cache_dir)
    more = pick(shapes, tmp_path / "more", "circle", "plus")
    with pytest.raises(DataError) as caught:
        train(more, options)
    assert str(caught.value) == (
        f"{old} has no features.npz (an older version wrote it), so {more} must hold pictures of all its classes; "
        "these are missing: 'square'; add their folders"
    )
    assert tuple(train(shapes, options).spec.labels) == (*OLD, *NEW)


def test_a_class_that_loses_all_its_pictures(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 3, "b": 3})
    (tmp_path / "old" / "a").rename(tmp_path / "old" / "renamed")
    with pytest.raises(DataError, match="have no pictures left, .*: 'a'; to leave a class out, train without --from"):
        train(tmp_path / "old", TrainOptions(model, earlier=model, cache_dir=cache_dir))


def change(name: str, value: Callable[[np.ndarray[Any, Any]], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        arrays[name] = value(arrays[name])
        np.savez(path, **arrays)

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def names_of(text: str) -> Callable[[np.ndarray[Any, Any]], Any]:
    return lambda _old: np.frombuffer(text.encode(), np.uint8)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda path: path.write_bytes(b"PK\x03\x04 nothing"),
        change("features", lambda a: a[:, :-1]),
        change("features", lambda a: np.full_like(a, np.nan)),
        change("features", lambda a: a.astype(np.float64)),
        change("features", lambda a: np.array([{}], object)),
        change("truth", lambda a: np.hstack([a, a])),
        change("shares", lambda a: a + 7),
        change("digests", lambda a: np.zeros_like(a)),
        change("digests", lambda a: a[:, :20]),
        change("names", names_of("[]")),
        change("names", names_of('{"a": 1}')),
        change("names", names_of("[" * 100_000)),
        change("names", names_of(json.dumps([["x", "../" * 10]] * 80))),
        change("names", names_of(json.dumps([[1, 2]] * 80))),
    ],
)
def test_damaged_features(first: Path, cache_dir: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    model = Path(shutil.copytree(first, tmp_path / "model"))
    damage(model / FEATURES_FILE)
    with pytest.raises(ModelError, match=r"features\.npz is damaged: .*; train anew without --from") as caught:
        Earlier.open(TrainOptions(earlier=model, cache_dir=cache_dir))
    assert "\n" not in str(caught.value)


def test_a_damaged_model_file(first: Path, cache_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(first, tmp_path / "model"))
    cut(model / MODEL_FILE)
    with pytest.raises(ModelError, match=r"model\.keras is damaged"):
        Earlier.open(TrainOptions(earlier=model))


def test_weights_of_another_model(first: Path, trained: Trained, cache_dir: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(first, tmp_path / "model"))
    spec = json.loads((model / "spec.json").read_bytes())
    spec["provenance"]["weights"] = "0" * 64
    (model / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(ModelError, match="has other weights than the bundle was written with"):
        train(trained.pictures, TrainOptions(tmp_path / "new", earlier=model, cache_dir=cache_dir))
