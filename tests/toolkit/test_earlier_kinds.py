"""``toolkit train --from`` goes on from every kind of model: tuned, multi-label, hidden layer, another input size."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.bundle import ModelBundle
from converters.convert import convert
from converters.options import ConvertOptions
from runtime.errors import DataError, UsageError
from tests.toolkit.earlier_bundles import SMALL, small, stored
from tests.toolkit.pictures import make_classes
from toolkit.class_folders import BACKGROUND, LABEL_FILE
from toolkit.earlier import Earlier
from toolkit.head import HeadOptions
from toolkit.options import TrainOptions
from toolkit.split import SplitOptions
from toolkit.train import train

HOSTILE = ["'q\"", "<script>alert(1)<b>", "two\nlines", "猫"]


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

    tuning = FinetuneOptions(epochs=1, unfreeze="1")
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
    small(tmp_path, cache_dir, {"a": 3, "b": 3}, architecture="mobilenet_v3_small", pooling="avg-max")
    bundle = ModelBundle.load(model)
    architecture = find_architecture("mobilenet_v3_small").pooled("avg-max")
    ordinary = load_backbone(architecture, weights="none", cache_dir=cache_dir)
    assert backbone_of(bundle, {}, architecture, None, cache_dir).digest == ordinary.digest, "the cache knows it"

    elsewhere = replace(bundle, spec=replace(bundle.spec, provenance={"weights": "0" * 64, "seed": 5}))
    found = backbone_of(elsewhere, {}, architecture, None, cache_dir)
    ours, theirs = (variables_of(backbone.keras_model()) for backbone in (found, ordinary))
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    goes_on_with_its_pooling(model, tmp_path, cache_dir)


def goes_on_with_its_pooling(model: Path, tmp_path: Path, cache_dir: Path) -> None:
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "new", {"c": 3}, start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert (result.spec.provenance["pooling"], result.images) == ("avg-max", 9)
    wider = Earlier.open(TrainOptions(earlier=result.folder))
    assert wider is not None
    assert len(wider.head.layers[0].kernel) == 2 * wider.architecture.channels


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


def test_the_input_size_stays(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 3, "b": 3}, input_size=96)
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "new", {"c": 3}, start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert (result.spec.preprocessing.height, result.images) == (96, 9)
    assert ModelBundle.load(model).test_pictures().images.shape == (3, 96, 96, 3)


def test_the_pooling_stays(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, {"a": 3, "b": 3}, pooling="avg-max")
    goes_on_with_its_pooling(model, tmp_path, cache_dir)


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


def test_hostile_labels(tmp_path: Path, cache_dir: Path) -> None:
    model = small(tmp_path, cache_dir, dict.fromkeys(HOSTILE[:2], 3))
    shutil.rmtree(tmp_path / "old")
    new = make_classes(tmp_path / "nëw\n", dict.fromkeys(HOSTILE[2:], 3), start=100)
    result = train(new, TrainOptions(model, earlier=model, cache_dir=cache_dir))
    assert tuple(result.spec.labels) == (*HOSTILE[:2], *sorted(HOSTILE[2:]))
    assert "<script>alert" not in (model / "report.html").read_text(encoding="utf-8")
