"""Several trainings at one time on one cache, of the same and of other options."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from tests.toolkit.pictures import make_classes
from tests.toolkit.trainings import SMALL, Training, train
from toolkit.checkpoint import Checkpoint, CheckpointStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX locks")


@pytest.mark.slow
def test_the_same_network_twice_and_something_else(tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos", {"a": 30, "b": 30})
    words = ("--no-near-duplicates", "--mode", "finetune", "--epochs", "2", "--unfreeze", "1")
    other = ("--output-dir", tmp_path / "other", "--cache-dir", tmp_path / "cache", "--seed", "3", "--steps", "200")
    runs = [train(photos, tmp_path, *words), train(photos, tmp_path, *words), Training("train", photos, *SMALL, *other)]
    for run in runs:
        assert run.wait() == 0, run.said
    for name in ("model", "other"):
        assert ModelBundle.load(tmp_path / name).is_sound()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "model", "other", "photos"]
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["features.sqlite"], "no checkpoint is left"


def test_checkpoints_of_one_run_by_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the quicker one removes at its end the slower one can do without."""
    first, second = (CheckpointStore(tmp_path / "checkpoints", "ab" * 32) for _ in range(2))
    for epoch in range(3):
        first.save(Checkpoint({}, {"epoch": epoch}))
        second.save(Checkpoint({}, {"epoch": epoch}))
    listed = second._files()
    first.remove()
    monkeypatch.setattr(second, "_files", lambda: listed)
    assert second.load() == (None, []), "gone is not damaged"
    monkeypatch.undo()
    second.save(Checkpoint({}, {"epoch": 3}))
    assert first.load()[0] == Checkpoint({}, {"epoch": 3})
