"""Whole trainings: what changes and what does not, kills and resumes, what comes out."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError, UsageError
from runtime.images import decode_image
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize, resize
from tests.toolkit.training.small_run import OPTIONS, PREPROCESSING, run, share, small_backbone, target_matrix
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.registry import LayeredBackbone, load_backbone
from toolkit.features import extract_features
from toolkit.finetune import FinetuneResult, blended, finetune, scratch, zero_head
from toolkit.head import HeadOptions
from toolkit.head_fit import HeadData, fit_one
from toolkit.training.loop import Loop
from toolkit.training.net import Floats
from toolkit.training.options import SCRATCH, FinetuneOptions
from toolkit.training.pictures import Share
from toolkit.views import Augmentation

ROOT = Path(__file__).parents[3]


def weights_of(result: FinetuneResult) -> dict[str, Floats]:
    assert isinstance(result.backbone, LayeredBackbone)
    return dict(result.backbone.weights)


def run_with_copy(shapes: Path, folder: Path, epoch: int, options: FinetuneOptions = OPTIONS) -> FinetuneResult:
    """A run that nobody interrupts; ``copy`` beside its checkpoints is what a kill behind this epoch leaves."""

    def copy(message: str) -> None:
        if message.startswith(f"epoch {epoch}:"):
            shutil.copytree(folder / "kept", folder / "copy")

    return run(shapes, folder / "kept", options, notify=copy)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(shapes: Path, folder: Path) -> FinetuneResult:
    """The whole run, with a copy of its second epoch."""
    return run_with_copy(shapes, folder, 2)


def same(left: FinetuneResult, right: FinetuneResult) -> None:
    ours, theirs = weights_of(left), weights_of(right)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)
    np.testing.assert_allclose(left.head[0][0], right.head[0][0], atol=1e-5)
    for figures, expected in zip(left.curves, right.curves, strict=True):
        assert figures.epoch == expected.epoch
        assert figures.training_loss == pytest.approx(expected.training_loss, abs=1e-4)
        assert figures.validation_loss == pytest.approx(expected.validation_loss, abs=1e-4)


def test_open_blocks_change_and_frozen_ones_do_not(whole: FinetuneResult, tmp_path: Path) -> None:
    before, after = small_backbone(tmp_path), weights_of(whole)
    assert isinstance(before, LayeredBackbone)
    changed = {name for name, array in before.weights.items() if not np.array_equal(array, after[name])}
    blocks = {f"{kind}_{n}" for n in range(12, 14) for kind in ("conv_dw", "conv_pw")}
    parts = ("_bn/gamma", "_bn/beta", "/kernel")
    assert changed == {f"{block}{part}" for block in blocks for part in parts}
    assert whole.backbone.digest != before.digest
    assert whole.backbone.architecture == before.architecture


def test_the_result_is_a_backbone_like_any_other(whole: FinetuneResult, shapes: Path, tmp_path: Path) -> None:
    path = min(shapes.rglob("*.jpg"))
    image = normalize(resize(decode_image(path.read_bytes(), path), PREPROCESSING), PREPROCESSING)[None]
    features = LoadedModel(whole.backbone.tflite(tmp_path), threads=1).run(image)
    expected = whole.backbone.keras_model()(image, training=False).numpy()[0]
    np.testing.assert_allclose(features, expected, atol=1e-4 * float(expected.max()))


def test_weights_between_two(whole: FinetuneResult, tmp_path: Path) -> None:
    before, after = small_backbone(tmp_path), whole.backbone
    assert blended(before, after, 1.0).digest == after.digest
    assert blended(before, after, 0.0).digest == before.digest
    middle = blended(before, after, 0.25)
    assert isinstance(before, LayeredBackbone)
    assert isinstance(middle, LayeredBackbone)
    for name, array in middle.weights.items():
        np.testing.assert_allclose(array, 0.75 * before.weights[name] + 0.25 * weights_of(whole)[name], atol=1e-6)
    with pytest.raises(UsageError, match="0 to 1, not 1.5"):
        blended(before, after, 1.5)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_sigkill_inside_an_epoch_loses_no_more_than_an_interval(
    whole: FinetuneResult, shapes: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    command = [sys.executable, "-m", "tests.toolkit.training.small_run", str(shapes), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    # 5 steps an epoch, each with a checkpoint: the seventh is inside the second epoch.
    while not (numbers := [int(p.name[33:39]) for p in folder.glob("*.checkpoint")]) or max(numbers) < 7:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    said: list[str] = []
    resumed = run(shapes, folder, notify=said.append)
    going_on = [line for line in said if line.startswith("going on from the checkpoint: epoch")]
    assert len(going_on) == 1, said
    assert "epoch 1," not in going_on[0]
    same(resumed, whole)
    resumed.checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_checkpoint_costs_one_interval(whole: FinetuneResult, shapes: Path, folder: Path) -> None:
    newest = max((folder / "copy").glob("*.checkpoint"))
    newest.write_bytes(newest.read_bytes()[:-100])
    said: list[str] = []
    resumed = run(shapes, folder / "copy", notify=said.append)
    assert any("is damaged" in line for line in said)
    assert "going on from the checkpoint: epoch 2, step 5 of 5" in said
    same(resumed, whole)


def test_statistics_that_move_go_on_too(shapes: Path, tmp_path: Path) -> None:
    """As in ``scratch``, which moves them."""
    options = replace(OPTIONS, epochs=2, unfreeze="1", batch_norm="batch", ema=0.8, save_seconds=60.0)
    calm = run_with_copy(shapes, tmp_path, 1, options)
    said: list[str] = []
    same(run(shapes, tmp_path / "copy", options, notify=said.append), calm)
    assert "going on from the checkpoint: epoch 2, step 1 of 5" in said


def test_going_on_behind_the_last_epoch(whole: FinetuneResult, shapes: Path, folder: Path) -> None:
    said: list[str] = []
    same(run(shapes, folder / "kept", notify=said.append), whole)
    assert f"going on from the checkpoint: epoch {OPTIONS.epochs}, the last, is done" in said


def test_another_option_another_run_and_resume_can_be_refused(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, epochs=1, unfreeze="1", save_seconds=60.0)
    run(shapes, tmp_path, options)
    said: list[str] = []
    run(shapes, tmp_path, replace(options, save_seconds=5.0), notify=said.append)  # nothing is left to do
    assert any("going on" in line for line in said)

    def begun(*_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Loop, "_epoch", begun)
    for other, resume in ((replace(options, seed=1), True), (options, False)):
        said.clear()
        with pytest.raises(ZeroDivisionError):
            run(shapes, tmp_path, other, notify=said.append, resume=resume)
        assert not any("going on" in line for line in said)


def test_patience_and_the_best_weights(tmp_path: Path) -> None:
    # Colours that a random network tells apart, a head that knows them, and a rate that soon ruins both.
    colours = colour_folder(tmp_path / "pictures")
    training, validation = share(colours, 0, 8), share(colours, 8, 12)
    backbone = small_backbone(tmp_path)
    table = extract_features(backbone, PREPROCESSING, training.pictures, tmp_path)
    features = np.stack([table.vectors[picture.digest] for picture in training.pictures])
    (layer,) = fit_one(HeadData(features, training.targets > 0.5), "single-label", 0.03, HeadOptions()).layers
    options = FinetuneOptions(
        epochs=30, learning_rate=0.03, warm_up=0.9, unfreeze="2", batch_size=8, ema=0.0, patience=2, mixup=0.0
    )
    said: list[str] = []
    head = ((layer.kernel, layer.bias),)
    result = finetune(
        backbone, head, training, validation, "single-label", PREPROCESSING, options, tmp_path, said.append
    )
    losses = [figures.validation_loss for figures in result.curves]
    kept = len(losses) - 2  # the last epoch that was not worse than the best beyond what the pictures can tell
    assert 1 <= kept < 28, losses
    assert losses[kept - 1] < 0.5 < min(losses[kept:]), losses
    assert said[-2:] == ["no gain on validation in 2 epochs: training ends", f"the weights of epoch {kept} are kept"]


def colour_folder(root: Path) -> Path:
    """Noise around four colours, twelve pictures of each."""
    random = np.random.default_rng(0)
    for label, colour in {"blue": (0, 0, 200), "green": (0, 200, 0), "grey": (99, 99, 99), "red": (200, 0, 0)}.items():
        (root / label).mkdir(parents=True)
        for number in range(12):
            pixels = random.normal(colour, 30, (40, 40, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02}.png")
    return root


@pytest.mark.parametrize("name", ["mobilenet_0.25_128", "mobilenet_v3_small"])
def test_smaller_views_than_the_input(name: str, tmp_path: Path) -> None:
    colours = colour_folder(tmp_path / "pictures")
    architecture = replace(find_architecture(name), input_size=64).pooled("avg-max")
    backbone = load_backbone(architecture, weights="none", cache_dir=tmp_path)
    head = zero_head(architecture.feature_count, 4)
    options = replace(OPTIONS, epochs=1, unfreeze="1", save_seconds=60.0)
    shares = (share(colours, 0, 3), share(colours, 3, 4))
    result = finetune(backbone, head, *shares, "single-label", PREPROCESSING, options, tmp_path)
    assert PREPROCESSING.height == 32
    assert result.backbone.architecture == architecture
    assert result.backbone.digest != backbone.digest
    assert LoadedModel(result.backbone.tflite(tmp_path), threads=1).input_shape[1:3] == (64, 64)


def test_scratch_learns_colours(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label, colour in {"blue": (0, 0, 200), "green": (0, 200, 0), "grey": (99, 99, 99), "red": (200, 0, 0)}.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(random.normal(colour, 25, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    training, validation = share(tmp_path / "photos", 0, 14), share(tmp_path / "photos", 14, 20)
    options = replace(SCRATCH, epochs=12, batch_size=8, learning_rate=1e-2, augmentation=Augmentation(True), ema=0.8)
    backbone, head = small_backbone(tmp_path), zero_head(256, 4)
    result = scratch(backbone, head, training, validation, "single-label", PREPROCESSING, options, tmp_path / "kept")
    assert max(figures.validation_accuracy for figures in result.curves) > 0.7
    assert isinstance(backbone, LayeredBackbone)
    before, after = backbone.weights, weights_of(result)
    assert all(not np.array_equal(before[name], after[name]) for name in before), "statistics move too"


def test_several_labels_and_negatives(shapes: Path, tmp_path: Path) -> None:
    one = share(shapes, 0, 6)
    targets = target_matrix([(n % 4, (n + 1) % 4) if n % 3 else () for n in range(len(one))], 4, "multi-label")
    many = Share(one.pictures, targets, one.weights)
    options = replace(OPTIONS, epochs=1, unfreeze="1", save_seconds=60.0)
    backbone = small_backbone(tmp_path)
    for task in ("multi-label", "single-label"):
        nothing = Share([], np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        rows = targets if task == "multi-label" else target_matrix([()] * len(one), 4, "single-label")
        result = finetune(
            backbone,
            zero_head(256, 4, hidden=8),
            replace(many, targets=rows),
            nothing,
            task,  # type: ignore[arg-type]
            PREPROCESSING,
            options,
            tmp_path,
        )
        assert [layer[0].shape for layer in result.head] == [(256, 8), (8, 4)]
        # What says nothing about any class leaves the last layer, which is zero, where it is; labels move it.
        assert bool(np.abs(result.head[1][0]).max() > 1e-6) == (task == "multi-label")
        assert result.curves[0].validation_loss == 0


def test_what_cannot_be_trained_is_said(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--unfreeze 'block_99': no such block; .*block_13"):
        run(shapes, tmp_path, replace(OPTIONS, unfreeze="block_99"))
    with pytest.raises(DataError, match="lower --learning-rate"):
        ruin = replace(OPTIONS, epochs=2, learning_rate=1e30, weight_decay=1e10, unfreeze="1", ema=0.0)
        run(shapes, tmp_path, ruin)


def test_a_picture_that_was_replaced_is_told(shapes: Path, tmp_path: Path) -> None:
    training = share(shapes, 0, 2)
    changed = replace(training.pictures[0], digest="0" * 64)
    training = Share([changed, *training.pictures[1:]], training.targets, training.weights)
    with pytest.raises(DataError, match="was changed while the training ran"):
        finetune(
            small_backbone(tmp_path), zero_head(256, 4), training, training, "single-label", PREPROCESSING, OPTIONS,
            tmp_path,
        )  # fmt: skip
