"""A command line of retrain.py, typed as people typed it for years."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from tests.toolkit.conftest import Trained
from toolkit import cli


def test_an_old_command(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    monkeypatch.chdir(tmp_path)
    cache = trained.options.cache_dir
    assert cache is not None
    shutil.copytree(cache, "b")
    command = (
        f"train --image_dir={trained.pictures} --output_graph=g.pb --output_labels=l.txt "
        "--how_many_training_steps=40 --architecture=mobilenet_1.00_224 --bottleneck_dir=b --summaries_dir=s "
        "--eval_step_interval=20 --train_batch_size 50 --validation_batch_size=-1 --print_misclassified_test_images"
    )
    assert cli.main(command.split()) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[:3] == [
        "--image_dir is now IMAGE_DIR",
        "--output_graph is now --output-graph",
        "--output_labels is now --output-labels",
    ]
    said = captured.err + captured.out
    for step in (0, 20):
        assert re.search(rf"^Step {step}: Train accuracy = \d+\.\d%$", said, re.MULTILINE)
        assert re.search(rf"^Step {step}: Cross entropy = \d+\.\d+$", said, re.MULTILINE)
        assert re.search(rf"^Step {step}: Validation accuracy = \d+\.\d% \(N=\d+\)$", said, re.MULTILINE)
    assert re.search(r"^Final test accuracy = \d+\.\d% \(N=\d+\)$", said, re.MULTILINE)
    assert "=== MISCLASSIFIED TEST IMAGES ===" in said
    labels = list(ModelBundle.load(Path("model")).spec.labels)
    assert Path("l.txt").read_text(encoding="utf-8").splitlines() == labels
    assert Path("g.pb").stat().st_size > 1_000_000
    for run in ("train", "validation", "test"):
        assert list(Path("s", run).iterdir())
    assert Path("s", "projector_config.pbtxt").is_file()
