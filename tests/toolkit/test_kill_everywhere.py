"""``toolkit train`` killed in each of its phases, one after the other; then let run to its end.

Of ``--mode scratch``, whose phases are those of finetune, see ``training/test_finetune.py``.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.toolkit.trainings import SMALL, assert_whole_or_absent, train
from toolkit import cli
from toolkit.sample_data import draw_shapes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]

# A line, or a file that appears (a pattern below the folder of the run).
STAGING, WRITTEN = ".model.edge-export-new-*/*", "model"
PHASES = {
    "bottleneck": ["files skipped", "from the cache,", "Writing the model", STAGING, WRITTEN, "saved"],
    "finetune": ["epoch 1:", WRITTEN],
}
OPTIONS = {
    "bottleneck": ["--output-graph", "g.pb", "--saved-model-dir", "saved", "--tensorboard", "board", "--steps", "300"],
    "finetune": ["--epochs", "3", "--unfreeze", "1", "--output-graph", "g.pb"],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "shapes", 15, seed=3).folder


def options(mode: str, folder: Path) -> list[object]:
    paths = {"g.pb", "saved", "board"}
    return ["--mode", mode, *(folder / word if word in paths else word for word in OPTIONS[mode])]


def to_the_end(mode: str, pictures: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a training says that nobody disturbs; in this process, which has TensorFlow loaded already."""
    places = ("--output-dir", folder / "model", "--cache-dir", folder / "cache")
    capsys.readouterr()
    code = cli.main([str(word) for word in ("train", pictures, *places, *SMALL, *options(mode, folder))])
    said = "".join(capsys.readouterr())
    assert code == 0, said
    return said


def scores(bundle: Path) -> np.ndarray:
    entries = json.loads((bundle / "test_split.json").read_bytes())["images"]
    return np.array([entry["scores"] for entry in sorted(entries, key=lambda entry: str(entry["sha256"]))])


def happened(phase: str, folder: Path) -> str | Callable[[], object]:
    return phase if " " in phase or ":" in phase else lambda: list(folder.glob(phase))


@pytest.mark.parametrize("mode", PHASES)
def test_killed_in_each_phase(mode: str, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    calm.mkdir()
    killed.mkdir()
    to_the_end(mode, drawn, calm, capsys)
    for phase in PHASES[mode]:
        training = train(drawn, killed, *options(mode, killed))
        training.wait_for(happened(phase, killed))
        assert training.end(signal.SIGKILL) == -signal.SIGKILL
        assert_whole_or_absent(killed / "model")
    said = to_the_end(mode, drawn, killed, capsys)
    assert "60 of 60 features from the cache" in said
    if mode == "finetune":
        assert "going on from the checkpoint: epoch" in said, "what was trained is not trained again"
        assert said.count("epoch 1:") == 0
    assert_whole_or_absent(killed / "model")
    np.testing.assert_allclose(
        scores(killed / "model"), scores(calm / "model"), atol=1e-5 if mode == "bottleneck" else 0.02
    )
    left = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if "tfevents" not in path.name}
        for folder in (calm, killed)
    ]
    assert left[0] == left[1], "nothing of the killed ones is left"
