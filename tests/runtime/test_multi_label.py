"""A multi-label model through everything that is done with answers, as the command does it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runtime.cli import main
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model

gpiozero = pytest.importorskip("gpiozero")
# What the film shows, three frames each, and the labels that hold then: best first, equal scores in their own order.
SHOWS = (
    ((250, 10, 10), ["red"]),
    ((240, 200, 0), ["red", "green"]),
    ((10, 20, 10), []),
    ((250, 240, 230), ["red", "green", "blue"]),
    ((0, 0, 250), ["blue"]),
)


@pytest.fixture
def model(save_model: Callable[..., Path]) -> Path:
    """Scores are the mean of each colour, and hold from one half on; blue from 0.7 on."""
    spec = spec_of("red", "green", "blue", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
    limits = {"red": 0.5, "green": 0.5, "blue": 0.7}
    return save_model(mean_colour_model(), replace(spec, task="multi-label", thresholds=limits))


@pytest.fixture
def film(tmp_path: Path) -> str:
    """The frames of ``SHOWS`` as numbered pictures."""
    (tmp_path / "film").mkdir()
    for number in range(3 * len(SHOWS)):
        Image.new("RGB", (20, 10), SHOWS[number // 3][0]).save(tmp_path / "film" / f"{number}.png")
    return str(tmp_path / "film" / "%d.png")


def test_a_camera(model: Path, film: str, board: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pins = ["--gpio", "red=17", "--gpio", "blue=BOARD11", "--gpio", "green=22", "--gpio", "unknown=27"]
    table = tmp_path / "a.csv"
    command = ["classify", "--camera", film, "--model", str(model), "--json", "--csv", str(table), *pins]
    on = ["--on", "green", f"touch {tmp_path}/green-{{frame}}", "--on-pause", "0"]
    assert main([*command, *on, "--top-k", "1", "--save", str(tmp_path / "kept"), "--save-pause", "0"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = [labels for _, labels in SHOWS for _ in range(3)]
    assert [answer["labels"] for answer in answers] == expected
    assert [answer["unknown"] for answer in answers] == [not labels for labels in expected]
    for answer in answers:  # all that hold are among the predictions, however few are wanted
        assert {guess["label"] for guess in answer["predictions"]} >= set(answer["labels"])
    with table.open(newline="") as file:
        assert [row["labels"] for row in csv.DictReader(file)] == [";".join(labels) for labels in expected]
    assert levels(board, 17) == [False, True, False, True, False]  # red or blue, until the end
    assert levels(board, 22) == [False, True, False, True, False]
    assert levels(board, 27) == [False, True, False]
    assert (tmp_path / "green-3").exists()  # at frame 9 it may still run
    assert {folder.name for folder in (tmp_path / "kept").iterdir() if folder.is_dir()} <= {*COLOURS, "_unknown_"}


def levels(board: Any, pin: int) -> list[bool]:
    """The levels of a pin, one after the other."""
    return [bool(level) for level, _ in groupby(state.state for state in board.pin(pin).states)]


def test_pictures(model: Path, film: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(Path(film).parent)
    command = ["classify", folder, "--model", str(model), "--json", "--top-k", "1", "--save", str(tmp_path / "kept")]
    assert main(command) == 0
    answers = {Path(answer["source"]).stem: answer for answer in map(json.loads, capsys.readouterr().out.splitlines())}
    for number, answer in answers.items():
        labels = SHOWS[int(number) // 3][1]
        assert answer["labels"] == labels
        for label in labels or ["_unknown_"]:
            assert (tmp_path / "kept" / label / f"{number}.png").is_file()
    assert len(list((tmp_path / "kept").rglob("*.png"))) == 3 * sum(len(labels) or 1 for _, labels in SHOWS)
    assert main(["classify", folder, "--model", str(model), "--json", "--allow", "blue"]) == 0
    for answer in map(json.loads, capsys.readouterr().out.splitlines()):
        shown = SHOWS[int(Path(answer["source"]).stem) // 3][1]
        assert answer["labels"] == [label for label in shown if label == "blue"]
        assert [guess["label"] for guess in answer["predictions"]] == ["blue"]
