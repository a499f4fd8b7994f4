"""A full disk and a read-only one under everything that a training writes: one line, and what was there stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from converters.bundle import ModelBundle
from converters.convert import convert
from converters.options import ConvertOptions
from runtime.errors import DataError, UsageError
from tests.toolkit.pictures import make_classes
from toolkit.extra_outputs import ExtraOutputs
from toolkit.options import TrainOptions
from toolkit.train import TrainResult, train
from toolkit.training.options import FinetuneOptions

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a disk of a size, such as ``300k``."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done: list[Path] = []

    def mounted(size: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root can mount a small disk")
        done.append(folder)
        return folder

    yield mounted
    for place in done:
        subprocess.run(["umount", str(place)], check=True)


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_classes(tmp_path_factory.mktemp("photos"), {"a": 30, "b": 30})


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the cache of all these trainings, and the bundle of the first."""
    return tmp_path_factory.mktemp("scratch")


def run(photos: Path, scratch: Path, **options: Any) -> TrainResult:
    small = {"architecture": "mobilenet_0.25_128", "weights": "none", "near_duplicates": False}
    places = {"output_dir": scratch / "model", "cache_dir": scratch / "cache"}
    return train(photos, TrainOptions(**(small | places | options)))


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_cache(photos: Path, scratch: Path, mount: Mount) -> None:
    disk = mount("40k")
    with pytest.raises(DataError, match=r"^cannot use the feature cache .* is full; name another .* --cache-dir$"):
        run(photos, scratch, cache_dir=disk, output_dir=scratch / "other")
    assert not (scratch / "other").exists()


def test_the_bundle(photos: Path, scratch: Path, mount: Mount) -> None:
    disk = mount("3m")
    run(photos, scratch, output_dir=disk / "model", calibration_images=3)
    before = everything(disk)
    old = (disk / "model" / "spec.json").read_bytes()
    with pytest.raises(DataError, match=r"^cannot write the model to .*disk/model: No space left on device$"):
        run(photos, scratch, output_dir=disk / "model", seed=1)
    assert everything(disk) == before
    assert (disk / "model" / "spec.json").read_bytes() == old
    assert ModelBundle.load(disk / "model").is_sound()


@pytest.mark.parametrize("what", ["output_graph", "saved_model_dir", "tensorboard"])
def test_other_outputs(photos: Path, scratch: Path, mount: Mount, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    disk = mount("60k")
    outputs = ExtraOutputs(**{what: disk / "out"})
    with pytest.raises(DataError, match=r": No space left on device; the model itself is safe in ") as caught:
        run(photos, scratch, outputs=outputs)
    assert len(str(caught.value)) < 300
    assert "tensorflow" not in capfd.readouterr().err.lower()
    assert ModelBundle.load(scratch / "model").is_sound()
    assert not [name for name in everything(disk) if "edge-export-" in name and "tfevents" not in name]


def test_a_checkpoint(photos: Path, scratch: Path, mount: Mount) -> None:
    """The network is trained further when there is room again: the features, at least, are there."""
    disk = mount("1m")
    tuning = FinetuneOptions(epochs=1, unfreeze="1")
    with pytest.raises(DataError, match=r"^cannot write .*\.checkpoint: No space left on device$"):
        run(photos, scratch, cache_dir=disk, output_dir=scratch / "other", mode="finetune", tuning=tuning)
    assert not (scratch / "other").exists()
    assert everything(disk) == {"features.sqlite", "checkpoints"}


def test_a_conversion(small_bundle: Path, mount: Mount) -> None:
    disk = mount("100k")
    with pytest.raises(DataError, match=r"^cannot write to .*: No space left on device$"):
        convert(small_bundle, ConvertOptions(output_dir=disk / "export"))
    assert not everything(disk)


def test_read_only_is_told_before_the_training(photos: Path, scratch: Path, mount: Mount) -> None:
    disk = mount("3m")
    run(photos, scratch, output_dir=disk / "model", calibration_images=3)
    make_read_only(disk)
    before = everything(disk)
    for options, option in (
        ({"output_dir": disk / "model"}, "--output-dir"),
        ({"output_dir": disk / "new" / "model"}, "--output-dir"),
        ({"outputs": ExtraOutputs(output_graph=disk / "g.pb")}, "--output-graph"),
        ({"outputs": ExtraOutputs(saved_model_dir=disk / "saved")}, "--saved-model-dir"),
        ({"outputs": ExtraOutputs(tensorboard=disk)}, "--tensorboard"),
    ):
        with pytest.raises(UsageError, match=rf"^{option} .*(cannot be written to|no folder that can be written to)"):
            run(photos, scratch, **({"seed": 5} | options))
    assert everything(disk) == before
    assert ModelBundle.load(disk / "model").is_sound()


def test_a_mount_point_cannot_be_replaced(photos: Path, scratch: Path, mount: Mount) -> None:
    disk = mount("3m")
    for options in ({"output_dir": disk}, {"outputs": ExtraOutputs(saved_model_dir=disk)}):
        with pytest.raises(UsageError, match=r"it is a mount point, which cannot be replaced .* name a folder in it"):
            run(photos, scratch, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX mounts")
def test_a_cache_that_is_full_of_features_and_read_only_serves(photos: Path, scratch: Path, mount: Mount) -> None:
    disk = mount("3m")
    first = run(photos, scratch, cache_dir=disk)
    make_read_only(disk)
    again = run(photos, scratch, cache_dir=disk)
    assert (first.from_cache, again.from_cache) == (0, 60)
