from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.flatbuffer_model import unpack_model
from converters.loss import Loss
from converters.quantization.choice import Choice
from converters.quantization.ladder import Request, best_int8
from converters.ranges import measure_ranges
from runtime.errors import ModelError
from runtime.model_file import ModelFile
from runtime.op_versions import too_new_for
from tests.converters import small_nets
from tests.converters.small_nets import Net
from tests.converters.test_float16 import floor_scores
from tests.converters.wild_nets import make_wild

pytest.importorskip("tensorflow")
CALIBRATION = 40


@pytest.fixture(scope="module")
def healthy() -> Net:
    return make_wild(1.0)


@pytest.fixture(scope="module")
def wild() -> Net:
    return make_wild()


def request_of(net: Net, **options: Any) -> Request:
    return Request(net.float32, net.pictures[:CALIBRATION], net.preprocessing, first=net.int8, **options)


def judge_of(net: Net) -> Callable[..., Loss]:
    """Points of agreement with the float model that a file loses, on pictures it was not calibrated with."""
    check = net.pictures[CALIBRATION:]
    real = small_nets.scores(net.float32, check, net.preprocessing).argmax(axis=1)
    assert len(np.unique(real)) == small_nets.CLASSES

    def judge(content: bytes, _kind: str = "") -> Loss:
        answers = small_nets.scores(content, check, net.preprocessing).argmax(axis=1)
        return Loss(100 * float((answers != real).mean()))

    return judge


def schemes(choice: Choice) -> list[str]:
    return [attempt.scheme for attempt in choice.attempts]


def test_a_healthy_network_takes_the_first_step_only(healthy: Net) -> None:
    choice = best_int8(request_of(healthy), judge_of(healthy), 2.0)
    assert schemes(choice) == ["int8"]
    assert choice.content == healthy.int8
    assert choice.attempt.accepted
    assert "within 2 points" in choice.reason


def test_a_collapsed_network_is_saved(wild: Net) -> None:
    told: list[str] = []
    choice = best_int8(request_of(wild), judge_of(wild), 2.0, told.append)
    first = choice.attempts[0]
    assert first.loss is not None
    assert first.loss.drop > 20, "nothing was planted"
    assert choice.attempt.accepted
    assert choice.attempt.loss is not None
    assert choice.attempt.loss.drop <= 2
    assert judge_of(wild)(choice.content).drop <= 2, "the file handed over is the one that was measured"
    assert choice.attempt.kind == "mixed"
    assert any("made" in name for name in choice.attempt.kept_wide)
    assert any("read" in name for name in choice.attempt.kept_wide)
    assert f"int8 loses {first.loss.drop:.1f}" in choice.reason
    assert len(told) == len(choice.attempts)


def test_a_mixed_file_runs_on_the_floor_interpreter(wild: Net, tmp_path: Path, floor_python: Path) -> None:
    choice = best_int8(request_of(wild), judge_of(wild), 2.0)
    assert choice.attempt.kind == "mixed"
    path = tmp_path / "mixed.tflite"
    path.write_bytes(choice.content)
    assert too_new_for(ModelFile.read(path), "2.14.0") == []
    here = small_nets.scores(choice.content, wild.pictures[:5], wild.preprocessing)
    # Its first layer is in float and takes normalised pictures; its last gives bytes of 1/256.
    assert np.abs(floor_scores(path, wild, floor_python) / 256 - here).max() < 0.1


def test_slow_formats_are_not_tried_where_something_else_will_do(wild: Net) -> None:
    choice = best_int8(request_of(wild), judge_of(wild), 2.0)
    assert "int16x8" not in {attempt.kind for attempt in choice.attempts}


def test_16_bits_where_layers_in_float_are_not_enough(wild: Net) -> None:
    """Judged by what only the int16x8 file has: no other is within the limit."""

    def judge(content: bytes, _kind: str = "") -> Loss:
        int16 = 7
        types = {tensor.type for tensor in unpack_model(content).subgraphs[0].tensors}
        return Loss(0.0 if int16 in types else 50.0)

    choice = best_int8(request_of(wild), judge, 2.0)
    assert choice.attempt.kind == "int16x8"
    assert choice.attempt == choice.attempts[-1]
    assert [attempt.kind for attempt in choice.attempts[:2]] == ["int8", "int8"]
    assert "mixed" in {attempt.kind for attempt in choice.attempts}


def test_where_nothing_helps_the_best_is_handed_back_and_not_accepted(wild: Net) -> None:
    choice = best_int8(request_of(wild), lambda content, _kind: Loss(50.0 + len(content) % 7), 2.0)
    assert not choice.attempt.accepted
    assert "comes nearest" in choice.reason
    assert choice.attempts[-1].kind == "int16x8"
    drops = [attempt.loss.drop for attempt in choice.attempts if attempt.loss]
    assert choice.attempt.loss is not None
    assert choice.attempt.loss.drop == min(drops)


def test_every_way_is_tried_for_a_loss_that_may_be_chance(healthy: Net) -> None:
    told: list[str] = []
    lossy = Loss(3.5, may_be_chance=True, agreement=0.95, pictures=57)
    choice = best_int8(request_of(healthy), lambda *_: lossy, 2.0, told.append)
    assert [attempt.kind for attempt in choice.attempts][-1] == "int16x8"
    assert len(told) == len(choice.attempts) > 5
    assert choice.attempt.kind == "int8", "the smallest"
    assert choice.attempt.accepted
    assert choice.reason == (
        "int8, whose loss may be chance with so few pictures (57): it loses 3.5 points; nothing that was tried is "
        "within the limit (2 points, 90% of the trained model's answers)"
    )
    assert choice.attempt.to_json()["may_be_chance"] is True


def test_a_file_within_the_limit_beats_one_whose_loss_may_be_chance(healthy: Net) -> None:
    def judge(content: bytes, _kind: str = "") -> Loss:
        is_mixed = len(content) > 1.05 * len(healthy.int8)
        return Loss(0.0 if is_mixed else 3.5, may_be_chance=not is_mixed)

    choice = best_int8(request_of(healthy), judge, 2.0)
    assert choice.attempt.kind == "mixed"
    assert "the only file within 2 points" in choice.reason
    integers = best_int8(request_of(healthy, integers_only=True), judge, 2.0)
    assert {attempt.kind for attempt in integers.attempts} == {"int8"}, "nothing else is of any use"
    assert integers.attempt.accepted


@pytest.mark.parametrize(
    ("agreement", "pictures", "accepted"),
    [
        (0.26, 57, False),  # a collapse, though the accuracy is what it was
        (0.26, 4, True),  # one of four
        (0.85, 57, True),
    ],
)
def test_answers_of_its_own_are_a_loss_whatever_the_accuracy(
    healthy: Net, agreement: float, pictures: int, accepted: bool
) -> None:
    loss = Loss(0.0, agreement=agreement, pictures=pictures)
    choice = best_int8(request_of(healthy), lambda *_: loss, 2.0)
    assert choice.attempts[-1].kind == "int16x8", "all ways were tried"
    assert choice.attempt.accepted == accepted
    assert f"has {agreement:.1%} of the trained model's answers" in choice.reason
    generous = best_int8(request_of(healthy), lambda *_: loss, 100 * (1 - agreement))
    assert schemes(generous) == ["int8"], "who allows the loss of so many points allows as many other answers"


def test_more_pictures_are_tried_before_anything_that_is_no_integer(wild: Net) -> None:
    request = replace(request_of(wild), images=wild.pictures[:4], more_images=wild.pictures[:CALIBRATION])
    choice = best_int8(request, judge_of(wild), 2.0)
    assert schemes(choice)[:3] == ["int8", f"int8, {CALIBRATION} calibration pictures", "int8, odd pictures clipped"]


def test_a_balanced_network_takes_the_place_of_a_wild_one(wild: Net, healthy: Net) -> None:
    """The two nets answer the same; the healthy one is the wild one, balanced by hand."""
    request = request_of(wild, balance=lambda *_: healthy.float32)
    choice = best_int8(request, judge_of(wild), 2.0)
    assert schemes(choice) == ["int8", "int8, wild channels balanced"]
    assert choice.attempt.kind == "int8"
    assert small_nets.float_tensors(choice.content) == []


def test_a_network_that_cannot_be_balanced(wild: Net) -> None:
    def refuse(*_: Any) -> bytes:
        raise ModelError("an operator that is not known")

    assert "int8, wild channels balanced" not in schemes(
        best_int8(request_of(wild, balance=refuse), judge_of(wild), 2.0)
    )


def test_finetuning_comes_last_and_wins_where_it_is_smallest(wild: Net, healthy: Net) -> None:
    def finetune(_float32: bytes, images: Any, _ranges: Any) -> tuple[bytes, Any]:
        return healthy.float32, measure_ranges(healthy.float32, images, healthy.preprocessing)

    choice = best_int8(request_of(wild, finetune=finetune), judge_of(wild), 2.0)
    assert schemes(choice)[-1] == "int8, finetuned"
    assert choice.attempt == choice.attempts[-1]
    assert f"the smallest of {sum(a.accepted for a in choice.attempts)} files" in choice.reason


def test_a_way_that_fails_is_reported_and_the_others_go_on(wild: Net) -> None:
    def fail(*_: Any) -> Any:
        raise ModelError("training came to nothing")

    choice = best_int8(request_of(wild, finetune=fail), judge_of(wild), 2.0)
    last = choice.attempts[-1]
    assert (last.scheme, last.error, last.loss) == ("int8, finetuned", "training came to nothing", None)
    assert last.to_json()["accuracy_drop"] is None
    assert choice.attempt.accepted


def test_the_same_bytes_each_time(wild: Net) -> None:
    one, other = (best_int8(request_of(wild), judge_of(wild), 2.0) for _ in range(2))
    assert one.content == other.content
    assert one.attempts == other.attempts


@pytest.mark.parametrize("in_out", ["uint8", "int8", "float32"])
def test_ends_are_as_asked_where_the_ends_are_integers(wild: Net, in_out: str) -> None:
    request = replace(request_of(wild, in_out=in_out), first=None)
    choice = best_int8(request, lambda *_: Loss(0.0), 2.0)
    loaded = small_nets.interpreter(choice.content)
    assert np.dtype(loaded.get_input_details()[0]["dtype"]) == np.dtype(in_out)
