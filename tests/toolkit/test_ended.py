"""``toolkit`` ended by Ctrl-C, SIGTERM and a closed terminal: one line, the right code, nothing half-made left."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from tests.toolkit.conftest import Trained
from tests.toolkit.pictures import make_classes
from tests.toolkit.trainings import Training, train

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Where Ctrl-C comes while code that TensorFlow runs from C is on its way, Python ends itself by the signal afterwards.
CTRL_C = (130, -signal.SIGINT)
LAST = {signal.SIGTERM: "toolkit: ended by SIGTERM", signal.SIGHUP: "toolkit: ended by SIGHUP"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_classes(tmp_path / "photos", {"a": 30, "b": 30})


def last_line(training: Training) -> str:
    return training.said.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_while_the_model_is_written(photos: Path, tmp_path: Path, number: signal.Signals) -> None:
    old = train(photos, tmp_path, "--no-near-duplicates")
    assert old.wait() == 0, old.said
    before = (tmp_path / "model" / "spec.json").read_bytes()
    training = train(photos, tmp_path, "--no-near-duplicates", "--seed", "7")
    training.wait_for(lambda: list(tmp_path.glob(".model.edge-export-new-*")))
    assert training.end(number) == 128 + number
    assert last_line(training) == LAST[number]
    assert (tmp_path / "model" / "spec.json").read_bytes() == before
    assert ModelBundle.load(tmp_path / "model").is_sound()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "model", "photos"]


@pytest.mark.slow
def test_while_the_network_is_trained(photos: Path, tmp_path: Path) -> None:
    words = ("--no-near-duplicates", "--mode", "finetune", "--epochs", "50")
    training = train(photos, tmp_path, *words)
    training.wait_for("blocks, from")
    assert training.end(signal.SIGTERM) == 143
    assert last_line(training) == LAST[signal.SIGTERM]
    training = train(photos, tmp_path, *words)
    training.wait_for("epoch 1:")
    assert training.end(signal.SIGINT) in CTRL_C
    assert last_line(training) == "toolkit: interrupted"
    assert "the same command goes on from the last checkpoint: epoch 2, step 1 of" in training.said
    kept = {path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {name for name in kept if not name.endswith(".checkpoint")} == {"features.sqlite"}
    training = train(photos, tmp_path, *words)
    training.wait_for("going on from the checkpoint: epoch")
    assert training.end(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.slow
def test_sigterm_in_a_conversion_leaves_no_work_folder(trained: Trained, tmp_path: Path) -> None:
    conversion = Training("convert", trained.result.folder, "--output-dir", tmp_path / "export")
    conversion.wait_for("Loading the trained model")
    assert list((tmp_path / "export").iterdir())
    assert conversion.end(signal.SIGTERM) == 143
    assert last_line(conversion) == LAST[signal.SIGTERM]
    assert list((tmp_path / "export").iterdir()) == []
