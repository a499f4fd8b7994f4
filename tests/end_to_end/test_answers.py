"""Models whose answer is no single label: several labels, and `unknown`; from the folder to the device's program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from runtime import cli as runtime_cli
from runtime.contract import read_contract
from toolkit import cli
from toolkit.sample_data import draw_shapes

Capture = pytest.CaptureFixture[str]
# A third of the work; what is asked of the answers does not depend on it.
SMALLER = ("--input-size", "128")


def answers(capsys: Capture, model: Path, *paths: Path) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert runtime_cli.main(["classify", "--json", "--model", str(model), *map(str, paths)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def scene(number: int) -> tuple[Image.Image, list[str]]:
    """A grey picture with a red square, a blue disc, both or neither."""
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(110, 140, (96, 96, 3), np.uint8))
    draw, labels = ImageDraw.Draw(image), []
    left, top = (int(n) for n in random.integers(2, 40, 2))
    if number % 4 in (1, 3):
        draw.rectangle((left, top, left + 25, top + 25), fill=(220, 20, 20))
        labels.append("red square")
    if number % 4 in (2, 3):
        draw.ellipse((left + 28, top, left + 53, top + 25), fill=(20, 20, 220))
        labels.append("青い丸")
    return image, labels


def test_several_labels(tmp_path: Path, capsys: Capture) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = ["file,labels"]
    for number in range(160):
        image, labels = scene(number)
        image.save(photos / f"{number}.png")
        lines.append(f"{number}.png,{';'.join(labels)}")
    (photos / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    model = tmp_path / "model"
    command = [
        "train",
        str(photos),
        "--multi-label",
        "--output-dir",
        str(model),
        "--cache-dir",
        str(tmp_path / "cache"),
        *SMALLER,
    ]
    assert cli.main([*command, "--no-near-duplicates"]) == 0
    assert cli.main(["convert", str(model), "--quantize", "--max-accuracy-drop", "15"]) == 0
    metrics = json.loads((model / "metrics.json").read_bytes())
    assert metrics["accuracy"]["test"]["accuracy"] > 0.8
    for kind in ("float32", "int8"):
        file = model / "export" / f"photos_{kind}.tflite"
        spec = read_contract(file).spec
        assert spec is not None
        assert (spec.task, set(spec.thresholds)) == ("multi-label", {"red square", "青い丸"})
        right = 0
        for number, answer in enumerate(answers(capsys, file, *(photos / f"{n}.png" for n in range(40)))):
            scores = {p["label"]: p["score"] for p in answer["predictions"]}
            holds = {label for label, score in scores.items() if score >= spec.thresholds[label]}
            assert set(answer["labels"]) == holds
            assert answer["unknown"] is not bool(holds)
            right += holds == set(scene(number)[1])
        assert right >= 35, kind


def test_none_of_these(tmp_path: Path, capsys: Capture) -> None:
    photos = draw_shapes(tmp_path / "shapes", 40).folder
    (photos / "_background_").mkdir()
    random = np.random.default_rng(0)
    for number in range(60):
        noise = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(
            (320, 240), Image.Resampling.NEAREST
        )
        target = photos / "_background_" if number < 50 else tmp_path
        noise.save(target / f"noise{number}.png")
    model = tmp_path / "model"
    command = ["train", str(photos), "--output-dir", str(model), "--cache-dir", str(tmp_path / "cache"), *SMALLER]
    assert cli.main(command) == 0
    metrics = json.loads((model / "metrics.json").read_bytes())
    assert metrics["rejection"]["unknown_below"] > 0
    assert metrics["rejection"]["negatives_rejected"]["accuracy"] > 0.8
    assert metrics["rejection"]["known_rejected"]["accuracy"] <= 0.05
    assert set(metrics["held_out"]) == {"circle", "plus", "square", "triangle"}
    assert cli.main(["convert", str(model)]) == 0
    file = model / "export" / "shapes_float32.tflite"
    strange = answers(capsys, file, *(tmp_path / f"noise{number}.png" for number in range(50, 60)))
    assert sum(answer["unknown"] for answer in strange) >= 8
    assert all(answer["labels"] == [] for answer in strange if answer["unknown"])
    known = answers(capsys, file, photos / "circle", photos / "plus")
    assert sum(answer["unknown"] for answer in known) <= 0.1 * len(known)
    assert runtime_cli.main(["classify", "--model", str(file), str(tmp_path / "noise50.png")]) == 0
    assert "unknown: no score is high enough" in capsys.readouterr().out
    assert cli.main([*command, "--reject", "off"]) == 0
    assert json.loads((model / "spec.json").read_bytes())["unknown_below"] == 0


def test_easy_classes_are_known_to_the_int8_model_too(tmp_path: Path, capsys: Capture) -> None:
    """Every score of the trained model is 1.0; the highest of an int8 one is 255/256."""
    photos, random = tmp_path / "colours", np.random.default_rng(0)
    for label, colour in (("red", (200, 20, 20)), ("blue", (20, 20, 200))):
        (photos / label).mkdir(parents=True)
        for number in range(65):
            pixels = np.clip(np.array(colour) + random.integers(-30, 30, (96, 96, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(photos / label / f"{number}.png")
    model, cache = tmp_path / "model", tmp_path / "cache"
    command = ["train", str(photos), "--output-dir", str(model), "--cache-dir", str(cache), "--no-near-duplicates"]
    command += SMALLER
    assert cli.main(command) == 0
    assert json.loads((model / "spec.json").read_bytes())["unknown_below"] > 0.9, "else this proves nothing"
    assert cli.main(["convert", str(model), "--quantize"]) == 0
    for kind in ("float32", "int8"):
        for label in ("red", "blue"):
            found = answers(capsys, model / "export" / f"colours_{kind}.tflite", photos / label)
            assert [answer["labels"] for answer in found] == [[label]] * 65
