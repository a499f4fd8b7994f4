from __future__ import annotations

import time

import pytest

from runtime.said import Said
from tests.runtime.seen import Log


def test_the_same_is_not_said_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = Log(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said = Said(log, "--mqtt host")
    for _ in range(3 * 86_400):  # three days, once a second
        said.say("away")
        now[0] += 1
    assert log.lines[:3] == ["--mqtt host: away", "--mqtt host: away (60 times)", "--mqtt host: away (120 times)"]
    assert 70 < len(log.lines) < 90  # once an hour at last
    said.forget()
    said.say("away")
    assert log.lines[-1] == "--mqtt host: away"


def test_two_troubles_at_once() -> None:
    log = Log()
    said = Said(log, "--save")
    for number in range(1000):
        said.say("slow" if number % 2 else "full")
    assert log.lines == ["--save: full", "--save: slow"]


def test_it_does_not_grow() -> None:
    said = Said(Log(), "--save")
    for number in range(1000):
        said.say(f"frame {number}")
    assert len(said._lines) <= 20


def test_a_log_that_is_gone_is_no_error() -> None:
    log = Log()
    log.close()
    Said(log, "--save").say("full")
