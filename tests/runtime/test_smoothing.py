from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.answers import AnswerRules, Classification, Stages
from runtime.cli import main
from runtime.contract import ModelContract, read_contract
from runtime.smoothing import Smoother
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model

NOTHING = Classification((), (), Stages(1, 2, 3))


@pytest.fixture
def contract(save_model: Callable[..., Path]) -> ModelContract:
    return read_contract(save_model(mean_colour_model(then="SOFTMAX"), spec_of("a", "b", "c")))


def limited(contract: ModelContract, least: float, *, multi: bool = False) -> ModelContract:
    """The same model, with a score from which on a label holds."""
    assert contract.spec is not None
    if multi:
        spec = replace(contract.spec, task="multi-label", thresholds=dict.fromkeys(contract.labels, least))
        return replace(contract, spec=spec, task="multi-label")
    return replace(contract, spec=replace(contract.spec, unknown_below=least))


def run(contract: ModelContract, frames: list[tuple[float, ...]], seconds: float = 1.0) -> list[Classification]:
    """Answers to frames a tenth of a second apart."""
    smoother = Smoother(seconds, AnswerRules())
    return [
        smoother.smooth(contract, NOTHING, np.array(scores, np.float32), number / 10)[0]
        for number, scores in enumerate(frames)
    ]


def test_scores_go_63_percent_of_the_way_in_the_time_constant(contract: ModelContract) -> None:
    for step in (0.05, 0.5, 1.0):  # whatever the frame rate
        smoother = Smoother(2.0, AnswerRules())
        smoother.smooth(contract, NOTHING, np.array([1, 0, 0], np.float32), 0.0)
        for number in range(1, round(2 / step) + 1):
            answer, scores = smoother.smooth(contract, NOTHING, np.array([0, 1, 0], np.float32), number * step)
        assert scores == pytest.approx([math.exp(-1), 1 - math.exp(-1), 0], abs=1e-5)
        assert answer.predictions[0].label == "b"
        assert answer.predictions[0].score == pytest.approx(scores[1])
        assert answer.milliseconds == NOTHING.milliseconds


def test_the_first_frame_and_one_after_a_long_gap_count_alone(contract: ModelContract) -> None:
    smoother = Smoother(1.0, AnswerRules())
    assert smoother.smooth(contract, NOTHING, np.array([0.9, 0.1, 0], np.float32), 5.0)[0].labels == ("a",)
    answer, scores = smoother.smooth(contract, NOTHING, np.array([0, 0.2, 0.8], np.float32), 500.0)
    assert (answer.labels, scores.tolist()) == (("c",), pytest.approx([0, 0.2, 0.8]))


def test_a_label_does_not_flicker(contract: ModelContract) -> None:
    """Two classes that change places in every frame, before and after smoothing."""
    answers = run(contract, [(0.56, 0.44, 0.0), (0.44, 0.56, 0.0)] * 20, 0.2)
    assert {answer.labels for answer in answers} == {("a",)}
    assert {answer.predictions[0].label for answer in answers} == {"a", "b"}


def test_a_real_change_is_answered(contract: ModelContract) -> None:
    labels = [answer.labels for answer in run(contract, [(1, 0, 0)] * 3 + [(0, 1, 0)] * 20)]
    assert labels == [("a",)] * (3 + 8) + [("b",)] * 12  # after 0.81 time constants


def test_a_label_goes_later_than_it_comes(contract: ModelContract) -> None:
    strict = limited(contract, 0.5)
    frames = [(0.49, 0.3, 0.2), (0.51, 0.3, 0.2), (0.42, 0.3, 0.2), (0.39, 0.3, 0.3), (0.49, 0.3, 0.2)]
    assert [answer.labels for answer in run(strict, frames, 0.001)] == [(), ("a",), ("a",), (), ()]


def test_each_label_of_a_multi_label_model_by_itself(contract: ModelContract) -> None:
    several = limited(contract, 0.5, multi=True)
    frames = [(0.6, 0.9, 0), (0.42, 0.6, 0.45), (0.6, 0.42, 0.6), (0.1, 0.1, 0.1)]
    answers = run(several, frames, 0.001)
    assert [answer.labels for answer in answers] == [("b", "a"), ("b", "a"), ("a", "c", "b"), ()]


def test_labels_that_are_not_allowed_never_hold(contract: ModelContract) -> None:
    for rules in (AnswerRules(deny=("a",)), AnswerRules(allow=("b", "c"))):
        smoother = Smoother(1.0, rules)
        answer, _ = smoother.smooth(contract, NOTHING, np.array([0.8, 0.15, 0.05], np.float32), 0.0)
        assert answer.labels == ("b",)
        assert [guess.label for guess in answer.predictions] == ["b", "c"]


def test_another_model_begins_anew(contract: ModelContract) -> None:
    smoother = Smoother(100.0, AnswerRules())
    smoother.smooth(contract, NOTHING, np.array([1, 0, 0], np.float32), 0.0)
    other = replace(contract, labels=("x", "y", "z"))
    answer, scores = smoother.smooth(other, NOTHING, np.array([0, 0, 1], np.float32), 0.1)
    assert (answer.labels, scores.tolist()) == (("z",), [0, 0, 1])


def test_a_frame_is_not_changed(contract: ModelContract) -> None:
    smoother, scores = Smoother(1.0, AnswerRules()), np.array([1, 0, 0], np.float32)
    kept = smoother.smooth(contract, NOTHING, scores, 0.0)[1].copy()
    smoother.smooth(contract, NOTHING, np.array([0, 1, 0], np.float32), 0.5)
    assert (scores == [1, 0, 0]).all()
    assert (kept == [1, 0, 0]).all()


def test_a_film_is_smoothed_by_its_own_time(tmp_path: Path, colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However quick the machine: two seconds of each colour, smoothed over half a second, are three labels."""
    for number in range(60):
        colour = list(COLOURS.values())[number // 20]
        Image.new("RGB", (16, 16), colour).save(tmp_path / f"{number:03}.jpg")
    words = ["classify", "--camera", str(tmp_path / "%03d.jpg"), "--camera-fps", "10", "--model", str(colours)]
    assert main([*words, "--smooth", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1].rpartition(" ")[0] for line in lines] == ["red", "緑 grün", "'two\\nlines'"]
