"""Pictures that are replaced, cut short or removed while a training runs: a word, and nothing wrong in the result."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.bundle import ModelBundle
from runtime.errors import DataError
from tests.toolkit.pictures import make_classes, png
from toolkit.head import HeadOptions
from toolkit.options import TrainOptions
from toolkit.train import TrainResult, train
from toolkit.training.options import FinetuneOptions

COUNT = 30
Damage = Callable[[Path], object]


def replaced(path: Path) -> None:
    path.write_bytes(png(99_999))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "photos", {"a": COUNT, "b": COUNT})


class Runs:
    """Trains, and does something to pictures when a certain line is told."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder, self.photos, self.said = folder, photos, list[str]()

    def __call__(self, when: str, damage: Damage, which: slice, **options: object) -> TrainResult:
        done = False

        def notify(line: str) -> None:
            nonlocal done
            self.said.append(line)
            if when in line and not done:
                done = True
                for path in sorted(self.photos.glob("*/*"))[which]:
                    damage(path)

        chosen = TrainOptions(
            output_dir=self.folder / "model",
            cache_dir=self.folder / "cache",
            architecture="mobilenet_0.25_128",
            weights="none",
            near_duplicates=False,
            tuning=FinetuneOptions(epochs=2, unfreeze="1"),
            **options,  # type: ignore[arg-type]
        )
        result = train(self.photos, chosen, notify)
        assert done, self.said
        return result


@pytest.fixture
def run(tmp_path: Path, photos: Path) -> Runs:
    return Runs(tmp_path, photos)


def assert_sound(result: TrainResult) -> None:
    bundle = ModelBundle.load(result.folder)
    assert bundle.is_sound()
    pictures = bundle.test_pictures()
    assert len(pictures.images) == len(pictures.truth) > 0
    calibration = bundle.calibration_images()
    assert len(calibration) == len(bundle.calibration_digests()) > 0
    assert calibration.reshape(len(calibration), -1).std(axis=1).min() > 10, "none is empty"
    assert pictures.images.reshape(len(pictures.images), -1).std(axis=1).min() > 10


@pytest.mark.parametrize("damage", [replaced, cut_short, Path.unlink])
def test_between_reading_and_features(run: Runs, damage: Damage) -> None:
    result = run("files skipped", damage, slice(None, None, 10))
    assert result.images == 2 * COUNT - 6
    reason = "no such file" if damage is Path.unlink else "was changed while the training ran"
    assert [file.reason for file in result.skipped] == [reason] * 6
    assert_sound(result)


def test_between_features_and_the_bundle(run: Runs, photos: Path) -> None:
    everything = run("files skipped", lambda _path: None, slice(0))
    stored = set(ModelBundle.load(everything.folder).test_pictures().digests)
    shutil.rmtree(everything.folder)  # its pictures would serve
    result = run("from the cache", Path.unlink, slice(None, None, 3), head=HeadOptions(label_smoothing=0.1))
    assert_sound(result)
    bundle = ModelBundle.load(result.folder)
    there = {hashlib.sha256(path.read_bytes()).hexdigest() for path in photos.glob("*/*")}
    assert set(bundle.test_pictures().digests) == stored & there != stored
    assert set(bundle.calibration_digests()) < there
    split = json.loads((result.folder / "test_split.json").read_bytes())["images"]
    assert {entry["sha256"] for entry in split} == stored, "judged on all of them all the same"
    assert any("not kept in the model's folder: " in line for line in run.said)


def test_between_features_and_the_bundle_all(run: Runs, photos: Path) -> None:
    old = run("files skipped", lambda _path: None, slice(0))
    kept = old.folder.rename(old.folder.with_name("kept"))
    shutil.copytree(photos, photos.with_name("copy"))
    with pytest.raises(DataError, match="were changed or removed while the training ran; run it again"):
        run("from the cache", Path.unlink, slice(None), head=HeadOptions(label_smoothing=0.1))
    assert not old.folder.exists()
    kept.rename(old.folder)
    shutil.copytree(photos.with_name("copy"), photos, dirs_exist_ok=True)
    # The bundle that is replaced has them, by their digests: nothing is lost, and nothing need be decoded.
    before = ModelBundle.load(old.folder).test_pictures()
    result = run("from the cache", Path.unlink, slice(None))
    after = ModelBundle.load(result.folder).test_pictures()
    assert after.digests == before.digests
    np.testing.assert_array_equal(after.images, before.images)


@pytest.mark.parametrize("moment", ["calibration: ", "Writing the model"])
def test_between_bundle_and_report(run: Runs, moment: str) -> None:
    result = run(moment, Path.unlink, slice(None))
    assert_sound(result)
    page = (result.folder / "report.html").read_text("utf-8")
    assert "<h1" in page
    if moment == "calibration: ":  # later, heat maps are being drawn
        assert "data:image/jpeg" not in page


def test_while_the_network_is_trained(run: Runs, photos: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    shutil.copytree(photos, keep)
    with pytest.raises(DataError, match=r"though it was there .* goes on from its last checkpoint"):
        run("blocks, from", Path.unlink, slice(None), mode="finetune")
    assert not (tmp_path / "model").exists()
    shutil.copytree(keep, photos, dirs_exist_ok=True)
    result = run("epoch 1:", replaced, slice(None, None, 10), mode="finetune")
    assert result.images == 2 * COUNT - 6
    assert "changed or removed while the network was trained, and left out: 6" in run.said
    assert_sound(result)
    numbers = np.load(result.folder / "features.npz")["digests"]
    assert len(numbers) == 2 * COUNT - 6


def test_all_gone_when_the_network_is_trained(run: Runs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"were changed or removed while .* goes on from its last checkpoint"):
        run("are kept", Path.unlink, slice(None), mode="finetune")
    assert list((tmp_path / "cache" / "checkpoints").glob("*.checkpoint")), "nothing of the work is lost"
