"""toolkit.train: from pictures to a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.bundle import ModelBundle
from runtime.errors import DataError, UsageError
from runtime.preprocess import normalize
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes, picture, reasons
from toolkit.options import TrainOptions
from toolkit.prepare import prepare
from toolkit.records import ImageRecord
from toolkit.split import SplitOptions, split_images
from toolkit.train import train


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def test_what_it_says_and_gives(trained: Trained) -> None:
    result = trained.result
    assert result.written
    assert result.images == 160
    assert result.skipped == ()
    assert sum(accuracy.images for accuracy in result.accuracy.values()) == 160
    assert result.accuracy["test"].value >= 0.9
    assert trained.messages[0] == "mobilenet_1.00_224, weights shipped with the toolkit"
    assert trained.messages[1] == "160 pictures in 4 classes, 0 files skipped"
    assert "of 160 features from the cache" in trained.messages[2]


def test_the_bundle(trained: Trained) -> None:
    folder = trained.result.folder
    assert {path.name for path in folder.iterdir()} == {
        *("model.keras", "spec.json", "labels.txt", "calibration.npz", "test_images.npz", "test_split.json"),
        *("metrics.json", "report.html", "features.npz"),
    }
    bundle = ModelBundle.load(folder)
    assert bundle.spec == trained.result.spec
    assert (bundle.spec.name, bundle.spec.backbone) == ("shapes", "mobilenet_1.00_224")
    assert tuple(bundle.spec.labels) == ("circle", "plus", "square", "triangle")
    assert (folder / "labels.txt").read_text().split() == list(bundle.spec.labels)
    metrics = json.loads((folder / "metrics.json").read_text())
    per_class = metrics["pictures"]["per_class"]
    assert {label: sum(shares.values()) for label, shares in per_class.items()} == dict.fromkeys(bundle.spec.labels, 40)
    assert metrics["accuracy"]["test"] == trained.result.accuracy["test"].to_json()
    classes = len(bundle.calibration_images())
    assert classes == trained.result.accuracy["training"].images
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_stored_scores_are_the_keras_models(trained: Trained) -> None:
    bundle = ModelBundle.load(trained.result.folder)
    split = json.loads((bundle.folder / "test_split.json").read_text())
    pictures = bundle.test_pictures()
    scores = np.asarray(bundle.keras_model()([normalize(pictures.images, bundle.spec.preprocessing)], training=False))
    stored = np.array([entry["scores"] for entry in split["images"]])
    np.testing.assert_allclose(stored, scores, rtol=0, atol=1e-4)
    for entry, digest in zip(split["images"], pictures.digests, strict=True):
        path = trained.pictures / entry["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"] == digest
        assert [path.parent.name] == entry["labels"] == [bundle.spec.labels[i] for i in entry["class_ids"]]


def test_the_same_again_touches_nothing(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.result.folder, folder)
    (folder / "export").mkdir()
    (folder / "export" / "x_int8.tflite").write_bytes(b"x")
    before = contents(folder)
    messages: list[str] = []
    result = train(trained.pictures, replace(trained.options, output_dir=folder), notify=messages.append)
    assert not result.written
    assert result.from_cache == 160
    assert "160 of 160 features from the cache, none computed" in messages
    assert contents(folder) == before


def test_a_damaged_bundle_is_written_again(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(trained.result.folder, folder)
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "model.keras").write_bytes(content)
    assert train(trained.pictures, replace(trained.options, output_dir=folder)).written
    assert ModelBundle.load(folder).is_sound()


def test_one_seed_one_model(trained: Trained, tmp_path: Path) -> None:
    again = train(trained.pictures, replace(trained.options, output_dir=tmp_path / "again"))
    assert again.spec == trained.result.spec
    for name in ("labels.txt", "spec.json", "metrics.json", "test_split.json"):
        assert (tmp_path / "again" / name).read_bytes() == (trained.result.folder / name).read_bytes()
    one, two = (ModelBundle.load(folder).keras_model() for folder in (again.folder, trained.result.folder))
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), two.get_weights(), strict=True))
    other = train(trained.pictures, replace(trained.options, output_dir=tmp_path / "other", seed=1))
    assert other.spec.provenance["model"] != again.spec.provenance["model"]


def test_other_pictures_replace_the_bundle(trained: Trained, tmp_path: Path) -> None:
    pictures = tmp_path / "shapes"
    shutil.copytree(trained.pictures, pictures)
    options = replace(trained.options, output_dir=tmp_path / "model")
    first = train(pictures, options)
    assert first.spec == trained.result.spec, "where the folder lies does not matter"
    for path in sorted((pictures / "plus").iterdir())[:3]:
        path.unlink()
    second = train(pictures, options)
    assert second.written
    assert second.images == 157
    assert ModelBundle.load(tmp_path / "model").spec.provenance["dataset"] != first.spec.provenance["dataset"]


ODD_LABELS = ["猫", "with space", "'q'", "-dash"] + (["two\nlines", 'say "x"'] if os.name != "nt" else [])


def test_odd_names_and_odd_pictures(tmp_path: Path, cache_dir: Path) -> None:
    root = make_classes(tmp_path / "my\nphotos", dict.fromkeys(ODD_LABELS, 4))
    odd = root / ODD_LABELS[0]
    for number, mode in enumerate(["L", "P", "CMYK", "RGBA", "LA", "1"]):
        picture(500 + number, 30).convert(mode).save(odd / f"{number}.{'tif' if mode == 'CMYK' else 'png'}")
    Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 70).save(odd / "16bit.png")
    picture(600).save(odd / "moving.gif", save_all=True, append_images=[picture(601)])
    picture(700, 300).save(odd / "cut.jpg")
    (odd / "cut.jpg").write_bytes((odd / "cut.jpg").read_bytes()[:9000])
    (odd / "empty\n.jpg").write_bytes(b"")
    result = train(root, TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir))
    assert set(reasons(result.skipped)) == {"cut.jpg", "empty\n.jpg"}
    assert result.images == 4 * len(ODD_LABELS) + 8
    spec = json.loads((tmp_path / "model" / "spec.json").read_text(encoding="utf-8"))
    assert sorted(spec["labels"]) == sorted(ODD_LABELS)
    assert spec["name"] == "my_photos"
    lines = (tmp_path / "model" / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == sorted(label.replace("\n", "\\n") for label in ODD_LABELS)


def test_the_split_is_made_anew_only_where_pictures_turn_out_damaged(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_classes(tmp_path / "photos", {"a": 5, "b": 5}, start=900)
    small = TrainOptions(architecture="mobilenet_0.25_128", weights="none", cache_dir=cache_dir)
    options = replace(small, output_dir=tmp_path / "model", near_duplicates=False)
    splits: list[int] = []

    def counted(images: Sequence[ImageRecord], *more: Any) -> Any:
        splits.append(len(images))
        return split_images(images, *more)

    monkeypatch.setattr("toolkit.prepare.split_images", counted)
    assert sum(map(len, prepare(root, options, print).split.values())) == 10
    assert splits == [10]
    picture(910, 300).save(root / "a" / "cut.jpg")
    (root / "a" / "cut.jpg").write_bytes((root / "a" / "cut.jpg").read_bytes()[:9000])
    prepared = prepare(root, options, print)
    assert splits == [10, 11, 10]
    assert sorted(p for share in prepared.split.values() for p in share) == list(range(10))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_file_names_that_are_not_utf8(tmp_path: Path, cache_dir: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 4, "b": 4})
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        path.rename(Path(os.fsdecode(os.fsencode(path.parent) + b"/%d\xff.png" % number)))
    (root / "a" / os.fsdecode(b"bad\xfe.jpg")).write_bytes(b"")
    train(root, TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir))
    split = json.loads((tmp_path / "model" / "test_split.json").read_text(encoding="utf-8"))
    assert all((root / entry["path"]).exists() for entry in split["images"])


def test_a_class_that_falls_short_while_decoding(tmp_path: Path, cache_dir: Path) -> None:
    root = make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    picture(801, 300).save(root / "a" / "002.png")
    (root / "a" / "002.png").write_bytes((root / "a" / "002.png").read_bytes()[:5000])
    said: list[str] = []
    with pytest.raises(DataError, match="at least 3 usable pictures .*'a' has 2 "):
        train(root, TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir), said.append)
    assert not (tmp_path / "model").exists()
    assert said[-1].startswith(f"skipped: {root / 'a' / '002.png'}: damaged or truncated")


@pytest.mark.parametrize(
    ("split", "least"), [(SplitOptions(0, 0), 1), (SplitOptions(0, 40), 2), (SplitOptions(50, 49), 3)]
)
def test_shares_that_are_not_asked_for(tmp_path: Path, cache_dir: Path, split: SplitOptions, least: int) -> None:
    root = make_classes(tmp_path / "photos", {"a": least, "b": least})
    result = train(root, TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir, split=split))
    assert {share for share, accuracy in result.accuracy.items() if accuracy.images} == set(split.shares())
    bundle = ModelBundle.load(tmp_path / "model")
    assert len(bundle.test_pictures().images) == result.accuracy["test"].images


def test_output_folders_that_are_refused(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    for folder in (tmp_path / "mine", tmp_path / "mine" / "thesis.txt", trained.pictures):
        with pytest.raises(UsageError) as caught:
            train(trained.pictures, replace(trained.options, output_dir=folder))
        assert caught.value.exit_code == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"calibration_images": 0},
        {"name": ""},
        {"name": "../x"},
        {"name": "a/b"},
        {"name": "-x"},
    ],
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TrainOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("猫" * 60, "猫" * 33), ("a b*c", "a_b_c"), ("...", "model"), ("x" * 200, "x" * 100)],
    ids=["wide", "odd", "dots", "long"],
)
def test_the_models_name(tmp_path: Path, cache_dir: Path, folder: str, name: str) -> None:
    root = make_classes(tmp_path / folder, {"a": 3, "b": 3})
    assert train(root, TrainOptions(output_dir=tmp_path / "model", cache_dir=cache_dir)).spec.name == name


def test_model_dir_says_which_file(trained: Trained, shared_models: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    options = replace(trained.options, output_dir=tmp_path / "model", model_dir=shared_models)
    result = train(trained.pictures, options, notify=messages.append)
    assert f"mobilenet_1.00_224, weights from {shared_models / 'mobilenet_1_0_224_tf_no_top.h5'}" in messages
    assert result.spec.provenance["weights"] != trained.result.spec.provenance["weights"]


@pytest.mark.parametrize("values", [{"mode": "mobilenet_1.00_224"}, {"task": "both"}])
def test_a_mode_that_does_not_exist(values: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="must be one of .*, not '"):
        TrainOptions(**values)  # type: ignore[arg-type]
