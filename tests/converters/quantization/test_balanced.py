from __future__ import annotations

import numpy as np
import pytest

from converters.loss import Loss
from converters.quantization.balanced import balanced_network
from converters.quantization.ladder import Request, best_int8
from tests.converters import small_nets
from tests.converters.wild_nets import make_wild

pytest.importorskip("tensorflow")
CALIBRATION = 40


def test_a_balanced_network_answers_the_same_and_its_int8_does_too() -> None:
    net = make_wild()
    calibration, check = net.pictures[:CALIBRATION], net.pictures[CALIBRATION:]
    balanced = balanced_network(net.float32, calibration, net.preprocessing)
    assert balanced is not None
    real, same = (small_nets.scores(model, check, net.preprocessing) for model in (net.float32, balanced))
    np.testing.assert_allclose(same, real, atol=1e-4)

    def judge(content: bytes, _kind: str = "") -> Loss:
        answers = small_nets.scores(content, check, net.preprocessing).argmax(axis=1)
        return Loss(100 * float((answers != real.argmax(axis=1)).mean()))

    request = Request(net.float32, calibration, net.preprocessing, first=net.int8, balance=balanced_network)
    choice = best_int8(request, judge, 2.0)
    assert [attempt.scheme for attempt in choice.attempts] == ["int8", "int8, wild channels balanced"]
    assert judge(net.int8).drop > 20, "nothing was planted"
    assert judge(choice.content).drop <= 2
    assert small_nets.float_tensors(choice.content) == []


def test_a_healthy_network_is_left_alone() -> None:
    net = make_wild(1.0)
    assert balanced_network(net.float32, net.pictures[:CALIBRATION], net.preprocessing) is None
