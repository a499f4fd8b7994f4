"""``toolkit train --from``: new classes come in, old ones stay, and nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.bundle import CALIBRATION_FILE, FEATURES_FILE, MODEL_FILE, ModelBundle
from converters.convert import convert
from converters.options import ConvertOptions
from runtime.errors import DataError, EdgeExportError, ModelError, UsageError
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes
from toolkit import features
from toolkit.class_folders import BACKGROUND, LABEL_FILE
from toolkit.cli import main
from toolkit.earlier import Earlier
from toolkit.head import HeadOptions
from toolkit.options import TrainOptions
from toolkit.split import SplitOptions
from toolkit.stored_features import StoredFeatures
from toolkit.train import TrainResult, train

OLD, NEW = ("plus", "square"), ("circle", "triangle")
SMALL = "mobilenet_0.25_128"


def pick(shapes: Path, folder: Path, *labels: str) -> Path:
    for label in labels:
        shutil.copytree(shapes / label, folder / label)
    return folder


def digests(folder: Path) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.jpg")}


def stored(folder: Path) -> StoredFeatures:
    bundle = ModelBundle.load(folder)
    width = 1024 if bundle.spec.backbone == "mobilenet_1.00_224" else 256
    found = StoredFeatures.read(folder, len(bundle.spec.labels), width)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def first(shapes: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows two of the four shapes, whose pictures are gone."""
    root = tmp_path_factory.mktemp("first")
    pictures = pick(shapes, root / "half", *OLD)
    train(pictures, TrainOptions(output_dir=root / "model", cache_dir=cache_dir))
    shutil.rmtree(pictures)
    return root / "model"


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


def small(tmp_path: Path, cache_dir: Path, counts: dict[str, int], **options: Any) -> Path:
    """A bundle of a small random network."""
    root = make_classes(tmp_path / "old", counts)
    given = TrainOptions(tmp_path / "model", architecture=SMALL, weights="none", cache_dir=cache_dir, **options)
    train(root, given)
    return tmp_path / "model"


def test_convert_checks_old_classes_too(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 5, "b": 5})
    shutil.rmtree(tmp_path / "old")
    result = train(
        make_classes(tmp_path / "new", {"c": 5}, start=100), TrainOptions(model, earlier=model, cache_dir=cache_dir)
    )
    conversion = convert(model, ConvertOptions(max_accuracy_drop=100))
    (file,) = conversion.report["files"]
    assert file["accuracy"]["images"] == result.accuracy["test"].images
    assert set(ModelBundle.load(model).test_pictures().truth.argmax(axis=1)) == {0, 1, 2}


def test_a_tuned_network_is_the_one_that_goes_on(tmp_path: Path, cache_dir: Path) -> None:
    from toolkit.training.options import FinetuneOptions

    tuning = FinetuneOptions(epochs=1)
    model = small(tmp_path, cache_dir, {"a": 4, "b": 4}, mode="finetune", tuning=tuning)
    weights = ModelBundle.load(model).spec.provenance["weights"]
    new = make_classes(tmp_path / "new", {"c": 4}, start=100)
    options = TrainOptions(tmp_path / "wider", earlier=model, cache_dir=cache_dir)
    said: list[str] = []
    wider = train(new, options, said.append)
    assert wider.spec.provenance["weights"] == weights
    assert said[0] == f"{SMALL}, weights random, seed 0, trained further"

    tuned = replace(options, output_dir=tmp_path / "tuned", mode="finetune", tuning=tuning, earlier=wider.folder)
    with pytest.raises(DataError) as caught:
        train(new, tuned)
    assert str(caught.value) == (
        f"--mode finetune needs the pictures themselves, and {new} has none of these classes of {wider.folder}: "
        "'a', 'b'; add their folders, or leave out --mode finetune"
    )
    make_classes(new, {"a": 3, "b": 3}, start=200)
    said.clear()
    result = train(new, tuned, said.append)
    assert result.images == 10
    assert any("8 pictures that are not here are left out: the network needs pictures" in line for line in said)
    assert result.spec.provenance["weights"] != weights


def test_a_network_of_keras_applications_goes_on(tmp_path: Path, cache_dir: Path) -> None:
    from toolkit.backbones.catalog import find_architecture
    from toolkit.backbones.keras_applications import variables_of
    from toolkit.backbones.registry import load_backbone
    from toolkit.bundle_weights import backbone_of

    model = tmp_path / "model"
    options = TrainOptions(model, architecture="mobilenet_v3_small", weights="none", cache_dir=cache_dir)
    train(make_classes(tmp_path / "old", {"a": 3, "b": 3}), options)
    bundle = ModelBundle.load(model)
    architecture = find_architecture("mobilenet_v3_small")
    ordinary = load_backbone(architecture, weights="none", cache_dir=cache_dir)
    assert backbone_of(bundle, {}, architecture, None, cache_dir).digest == ordinary.digest, "the cache knows it"

    elsewhere = replace(bundle, spec=replace(bundle.spec, provenance={"weights": "0" * 64, "seed": 5}))
    found = backbone_of(elsewhere, {}, architecture, None, cache_dir)
    ours, theirs = (variables_of(backbone.keras_model()) for backbone in (found, ordinary))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_several_labels_a_picture(tmp_path: Path, cache_dir: Path) -> None:
    root = make_classes(tmp_path / "old", {"pictures": 12})
    paths = sorted((root / "pictures").iterdir())
    lines = [f"pictures/{path.name},{('sea', 'sky', 'sea;sky')[n % 3]}" for n, path in enumerate(paths)]
    (root / LABEL_FILE).write_text("\n".join(lines))
    options = TrainOptions(
        tmp_path / "model", architecture=SMALL, weights="none", task="multi-label", cache_dir=cache_dir
    )
    train(root, options)
    boats = tmp_path / "boats"
    (boats / "boat").mkdir(parents=True)
    for path in paths[:6]:
        shutil.copy(path, boats / "boat")
    result = train(boats, replace(options, architecture=None, earlier=options.output_dir))
    assert tuple(result.spec.labels) == ("sea", "sky", "boat")
    found = stored(result.folder)
    truth = {image.digest: row.tolist() for image, row in zip(found.images, found.truth, strict=True)}
    of_file = [truth[hashlib.sha256(path.read_bytes()).hexdigest()] for path in paths]
    assert of_file[:3] == [[True, False, True], [False, True, True], [True, True, True]]
    assert of_file[6:9] == [[True, False, False], [False, True, False], [True, True, False]]
    with pytest.raises(UsageError, match="is a multi-label model; add --multi-label"):
        train(boats, replace(options, architecture=None, earlier=options.output_dir, task="single-label"))


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


def test_the_input_size_stays(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 3, "b": 3}, input_size=96)
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "new", {"c": 3}, start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert (result.spec.preprocessing.height, result.images) == (96, 9)
    assert ModelBundle.load(model).test_pictures().images.shape == (3, 96, 96, 3)


def test_a_hidden_layer_stays(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 3, "b": 3}, head=HeadOptions(hidden=7))
    new = make_classes(tmp_path / "new", {"c": 3}, start=100)
    result = train(new, TrainOptions(tmp_path / "wider", earlier=model, cache_dir=cache_dir))
    wider = Earlier.open(TrainOptions(earlier=result.folder))
    assert wider is not None
    assert [layer.kernel.shape for layer in wider.head.layers] == [(256, 7), (7, 3)]


def test_shares_that_the_earlier_training_did_not_have(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 4, "b": 4}, split=SplitOptions(0, 0))
    new = make_classes(tmp_path / "new", {"c": 3}, start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    for share in ("validation", "test"):
        assert result.evaluations[share].truth.sum(axis=0).tolist() == [1, 1, 1]  # type: ignore[index]


def test_pictures_of_no_class_are_learned_again(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 4, "b": 4, BACKGROUND: 6})
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "new", {"c": 4}, start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert tuple(result.spec.labels) == ("a", "b", "c")
    found = stored(model)
    assert (len(found), int((~found.truth.any(axis=1)).sum())) == (18, 6)


HOSTILE = ["'q\"", "<script>alert(1)<b>", "two\nlines", "猫"]


def test_hostile_labels(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, dict.fromkeys(HOSTILE[:2], 3))
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "nëw\n", dict.fromkeys(HOSTILE[2:], 3), start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert tuple(result.spec.labels) == (*HOSTILE[:2], *sorted(HOSTILE[2:]))
    assert "<script>alert" not in (model / "report.html").read_text(encoding="utf-8")


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


def test_the_command(
    first: Path, shapes: Path, cache_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = pick(shapes, tmp_path / "more", "circle")
    words = ["train", "--from", str(first), str(more), "--output-dir", str(tmp_path / "model"), "--json"]
    assert main([*words, "--cache-dir", str(cache_dir)]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == [*OLD, "circle"]
    assert main(["train", "--from", str(tmp_path / "no"), str(more)]) == 2
    assert "no such model folder" in capsys.readouterr().err
