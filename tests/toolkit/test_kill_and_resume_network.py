"""``toolkit train --mode finetune|scratch`` killed while the network is trained, and started again."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from converters.bundle import ModelBundle
from toolkit.sample_data import draw_shapes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")]

ROOT = Path(__file__).parents[2]


def start(pictures: Path, folder: Path, mode: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "toolkit.cli", "train", str(pictures), "--output-dir", str(folder / "model")]
    command += ["--cache-dir", str(folder / "cache"), "--mode", mode, "--epochs", "6", *options]
    command += ["--architecture", "mobilenet_0.25_128", "--weights", "none", "--no-near-duplicates"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("mode", ["finetune", "scratch"])
def test_sigkill_loses_at_most_an_epoch(mode: str, tmp_path: Path) -> None:
    pictures = draw_shapes(tmp_path / "shapes", 60).folder
    checkpoints = tmp_path / "cache" / "checkpoints"
    process = start(pictures, tmp_path, mode)
    deadline = time.monotonic() + 240
    while len(list(checkpoints.glob("*.checkpoint"))) < 2:
        assert process.poll() is None, f"it ended before it was killed: {process.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert not (tmp_path / "model").exists(), "no half-written bundle"
    process = start(pictures, tmp_path, mode, "--resume")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "going on" in said
    assert ModelBundle.load(tmp_path / "model").is_sound()
    assert not checkpoints.exists(), "what is no longer needed is gone"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "model", "shapes"]
