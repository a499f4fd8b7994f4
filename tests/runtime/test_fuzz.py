"""Damaged models and pictures; ``tests/benchmarks/fuzz.py`` runs ten thousand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.runtime.conftest import spec_of
from tests.runtime.mutations import mutate, structure_of
from tests.runtime.tiny_models import mean_colour_model

KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"},
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "WEBP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "PPM": {},
}


@pytest.fixture
def pairs(save_model: Callable[..., Path], tmp_path: Path) -> list[str]:
    """Models with pictures, as ``tests.runtime.fuzz`` takes them."""
    rows, columns = np.mgrid[0:30, 0:40]
    picture = Image.fromarray(np.stack([columns * 6, rows * 8, rows + columns], axis=-1).astype(np.uint8))
    found = []
    for number, (kind, options) in enumerate(KINDS.items()):
        dtype = ("float32", "uint8", "int8")[number % 3]
        real = dtype == "float32"
        model = mean_colour_model(dtype, scale=0.0 if real else 1 / 128, then="SOFTMAX" if real else None)
        spec = spec_of("a", "b", "c") if number % 4 < 2 else None
        found.append(str(save_model(model, spec, f"{number}.tflite")))
        path = tmp_path / f"{number}.{kind.lower()}"
        picture.save(path, kind, **options)
        found.append(str(path))
    return found


def fuzz(files: list[str], count: int, python: str | Path = sys.executable) -> dict[str, Any]:
    """What ``tests.runtime.fuzz`` says."""
    command = [str(python), "-m", "tests.runtime.fuzz", *files, "--count", str(count)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    last = done.stderr.strip().splitlines()[-1:]
    if done.returncode < 0:
        pytest.fail(f"{signal.Signals(-done.returncode).name} at {last}", pytrace=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_damaged_models_and_pictures(pairs: list[str]) -> None:
    found = fuzz(pairs, 40)
    assert found["wrong"] == []
    assert min(found["counts"]["answered"], found["counts"]["refused"]) > 50  # both happen
    assert sum(found["counts"].values()) == 2 * 7 * 40
    first, last = found["memory"]
    assert last - first < 20


def test_damaged_copies_of_others_models(thirdparty: Path) -> None:
    found = fuzz([str(thirdparty / "mobilenet_v1_0.25_128_quant.tflite"), str(thirdparty / "cat_720p.jpg")], 40)
    assert found["wrong"] == []
    first, last = found["memory"]
    assert last - first < 60


def test_the_oldest_interpreter(pairs: list[str], floor_python: Path) -> None:
    assert fuzz(pairs[:6], 20, floor_python)["wrong"] == []


def test_real_processes(
    pairs: list[str], tmp_path: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    model, picture = Path(pairs[0]), Path(pairs[1])
    spans = structure_of(model.read_bytes())
    codes = set()
    for seed in range(6):
        bad_model, bad_picture = tmp_path / "bad.tflite", tmp_path / "bad.jpg"
        bad_model.write_bytes(mutate(model.read_bytes(), seed, spans))
        bad_picture.write_bytes(mutate(picture.read_bytes(), seed))
        for words in ((bad_model, picture), (model, bad_picture)):
            done = run_module("classify", "--model", *map(str, words), module="runtime")
            assert done.returncode in (0, 1), done.stderr
            assert "Traceback" not in done.stderr
            assert done.stderr.count("\n") == done.returncode or "warning" in done.stderr
            codes.add(done.returncode)
    assert codes == {0, 1}
