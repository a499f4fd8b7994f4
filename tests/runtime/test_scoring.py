from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import peak_memory, scoring
from runtime.interpreter import default_threads, interpreter_name
from tests.conftest import ROOT
from tests.runtime.tiny_models import mean_colour_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "colours.tflite"
    path.write_bytes(mean_colour_model("uint8", size=(64, 64), scale=1 / 255))
    return path


def scored(model: Path, tmp_path: Path, pictures: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    np.savez(tmp_path / "images.npz", images=pictures)
    scoring.score_images(model, tmp_path / "images.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as stored:
        return stored["scores"], json.loads(str(stored["facts"]))


def test_scores_and_facts(model: Path, tmp_path: Path) -> None:
    pictures = np.zeros((3, 64, 64, 3), np.uint8)
    pictures[1, ..., 0] = 255
    scores, facts = scored(model, tmp_path, pictures)
    best = np.e / (np.e + 2)  # the model gives logits
    np.testing.assert_allclose(scores[1], [best, (1 - best) / 2, (1 - best) / 2], atol=1e-6)
    np.testing.assert_allclose(scores[[0, 2]], 1 / 3, atol=1e-6)
    assert (facts["interpreter"], facts["threads"]) == (interpreter_name(), default_threads())
    assert facts["latency_ms"] > 0
    assert facts["latency_one_thread_ms"] > 0
    assert facts["peak_memory"] >= 0


def test_no_pictures(model: Path, tmp_path: Path) -> None:
    scores, facts = scored(model, tmp_path, np.zeros((0, 64, 64, 3), np.uint8))
    assert scores.shape == (0, 3)
    assert facts["latency_ms"] > 0


def test_one_processor_is_timed_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "default_threads", lambda: 1)
    _, facts = scored(model, tmp_path, np.zeros((1, 64, 64, 3), np.uint8))
    assert facts["latency_ms"] == facts["latency_one_thread_ms"]


def test_a_slow_model_is_timed_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    now = iter(range(10**6))

    class Slow:
        model = type("Model", (), {"run": lambda self, tensor: runs.append(tensor)})()

        def tensor(self, picture: int) -> int:
            return picture

    monkeypatch.setattr(scoring.time, "perf_counter", lambda: next(now))  # a second goes by at each look
    assert scoring._latency(Slow(), 7) == 1000.0  # type: ignore[arg-type]
    assert len(runs) == 3 + 5


def test_an_error_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime.scoring", "no.tflite", "no.npz", str(tmp_path / "out.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "error: no.tflite does not exist; check the path of the model\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget its peak")
def test_the_peak_is_that_of_the_model_alone() -> None:
    code = """
from runtime.peak_memory import forget_peak, peak_memory
once = bytearray(b'x' * (80 << 20)); del once
forget_peak(); before = peak_memory()
twice = bytearray(b'x' * (20 << 20)); del twice
print(peak_memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 18 << 20 < int(done.stdout) < 45 << 20


def test_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "nothing")
    monkeypatch.setattr(peak_memory, "_CLEAR", tmp_path / "no" / "thing")
    monkeypatch.setattr(peak_memory.sys, "platform", "linux")
    peak_memory.forget_peak()
    assert peak_memory.peak_memory() is None
    monkeypatch.setattr(peak_memory.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    assert peak_memory.peak_memory() is None
