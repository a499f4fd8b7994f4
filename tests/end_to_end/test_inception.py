"""Show 5: Inception v3 from random weights, the mechanics end to end; about half a minute and 4 GB.

Trained at 139 pixels, where its own 299 would take six times as long and change no layer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.end_to_end.commands import run

pytestmark = pytest.mark.slow


def test_inception_from_random_weights(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    toolkit = Path(sys.executable).parent / "toolkit"
    if not toolkit.exists():
        pytest.skip("the project is not installed in this environment: pip install -e .")
    from toolkit.sample_data import draw_shapes

    draw_shapes(tmp_path / "shapes", count=8, seed=0)
    options = ("--architecture", "inception_v3", "--weights", "none", "--cache-dir", "cache", "--input-size", "139")
    trained = run(toolkit, "train", "shapes", *options, cwd=tmp_path)
    assert "model written to model" in trained.stdout
    converted = run(toolkit, "convert", "--quantize", "--max-accuracy-drop", "100", "--json", cwd=tmp_path)
    float32, int8 = json.loads(converted.stdout)["files"]
    assert float32["top1_agreement"] == 1.0
    assert float32["largest_score_difference"] < 1e-3
    assert int8["largest_score_difference"] < 0.1
    assert 20e6 < int8["bytes"] < 25e6
    photo = sorted((tmp_path / "shapes" / "plus").iterdir())[0]
    for entry in (float32, int8):
        model = Path("model", "export", entry["file"])
        done = run(toolkit.with_name("runtime"), "classify", "--model", model, "--json", photo, cwd=tmp_path)
        assert len(json.loads(done.stdout)["predictions"]) == 4
