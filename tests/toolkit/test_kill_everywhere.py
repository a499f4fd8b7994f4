"""``toolkit train`` killed in each of its phases, one after the other, in each mode; then let run to its end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.toolkit.trainings import Training, assert_whole_or_absent, train
from toolkit.sample_data import draw_shapes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]

# A line, or a file that appears (a pattern below the folder of the run).
START, WRITING, STAGING, WRITTEN = "weights random", "Writing the model", ".model.edge-export-new-*/*", "model"
PHASES = {
    "bottleneck": [START, "files skipped", "from the cache,", WRITING, STAGING, WRITTEN, "g.pb", "saved"],
    "finetune": ["blocks, from", "epoch 1:", "are kept", STAGING, WRITTEN],
    "scratch": ["epoch 2:"],
}
OPTIONS = {
    "bottleneck": ["--output-graph", "g.pb", "--saved-model-dir", "saved", "--tensorboard", "board", "--steps", "300"],
    "finetune": ["--epochs", "3", "--output-graph", "g.pb"],
    "scratch": ["--epochs", "3"],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "shapes", 15, seed=3).folder


def start(mode: str, pictures: Path, folder: Path) -> Training:
    paths = {"g.pb", "saved", "board"}
    return train(pictures, folder, "--mode", mode, *(folder / w if w in paths else w for w in OPTIONS[mode]))


def scores(bundle: Path) -> np.ndarray:
    entries = json.loads((bundle / "test_split.json").read_bytes())["images"]
    return np.array([entry["scores"] for entry in sorted(entries, key=lambda entry: str(entry["sha256"]))])


def happened(phase: str, folder: Path) -> str | Callable[[], object]:
    return phase if " " in phase or ":" in phase else lambda: list(folder.glob(phase))


@pytest.mark.parametrize("mode", PHASES)
def test_killed_in_each_phase(mode: str, drawn: Path, tmp_path: Path) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    calm.mkdir()
    killed.mkdir()
    undisturbed = start(mode, drawn, calm)
    assert undisturbed.wait() == 0, undisturbed.said
    for phase in PHASES[mode]:
        training = start(mode, drawn, killed)
        training.wait_for(happened(phase, killed))
        assert training.end(signal.SIGKILL) == -signal.SIGKILL
        assert_whole_or_absent(killed / "model")
    last = start(mode, drawn, killed)
    assert last.wait() == 0, last.said
    assert "60 of 60 features from the cache" in last.said
    if mode != "bottleneck":
        assert "going on from the checkpoint: epoch" in last.said, "what was trained is not trained again"
        assert last.said.count("epoch 1:") == 0
    assert_whole_or_absent(killed / "model")
    np.testing.assert_allclose(
        scores(killed / "model"), scores(calm / "model"), atol=1e-5 if mode == "bottleneck" else 0.02
    )
    left = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if "tfevents" not in path.name}
        for folder in (calm, killed)
    ]
    assert left[0] == left[1], "nothing of the killed ones is left"
