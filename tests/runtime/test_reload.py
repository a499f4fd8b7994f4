from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.answers import AnswerRules
from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.load_request import LoadRequest
from runtime.model_slot import ModelSlot
from runtime.reload import ModelReloader, private_copy
from runtime.trial import try_model
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.tiny_models import mean_colour_model

RED = Image.new("RGB", (8, 8), COLOURS["red"])


class Watched:
    """A model file in use, and what its reloader says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.slot = ModelSlot(self.load())
        self.reloader = ModelReloader(self.slot, path, self.load, self.said.append, interval=0.05)

    def load(self) -> Classifier:
        with private_copy(self.path) as copy:
            try_model(LoadRequest(copy))
            return Classifier.load(copy)

    def answer(self) -> str:
        return self.slot.current.classify(RED).labels[0]

    def wait_for(self, what: str) -> None:
        end = time.monotonic() + 60
        while not any(what in line for line in self.said):
            assert time.monotonic() < end, (what, self.said)
            time.sleep(0.02)


@pytest.fixture
def watched(colours: Path) -> Watched:
    return Watched(colours)


@pytest.fixture
def other(save_model: Callable[..., Path]) -> Path:
    """The same network with labels in another language."""
    return save_model(mean_colour_model(then="SOFTMAX"), spec_of("rot", "grün", "blau"), "other.tflite")


def test_a_replaced_file_is_taken(watched: Watched, other: Path) -> None:
    with watched.reloader.watching():
        assert watched.answer() == "red"
        other.replace(watched.path)
        watched.wait_for("the new one, 3 labels, is in use")
        assert watched.answer() == "rot"
    assert len(watched.said) == 1


def test_a_bad_file_is_refused_and_a_good_one_taken_later(watched: Watched, other: Path) -> None:
    with watched.reloader.watching():
        watched.path.write_bytes(other.read_bytes()[:300])
        watched.wait_for("is refused, the old one stays in use")
        assert watched.answer() == "red"
        watched.path.unlink()
        time.sleep(0.2)
        assert watched.answer() == "red"
        shutil.copy(other, watched.path)
        watched.wait_for("is in use")
        assert watched.answer() == "rot"
    assert len([line for line in watched.said if "is refused," in line]) == 1


def test_a_hangup_loads_the_file_again(watched: Watched) -> None:
    with watched.reloader.watching():
        before = watched.slot.current
        os.kill(os.getpid(), signal.SIGHUP)
        watched.wait_for("is in use")
        assert watched.slot.current is not before
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_model_that_is_written_over_while_it_runs(save_model: Callable[..., Path]) -> None:
    path = save_model(mean_colour_model(then="SOFTMAX"), spec_of("a", "b", "c"), "over.tflite")
    with private_copy(path) as copy:
        assert copy.name == path.name
        classifier = Classifier.load(copy)
    assert not copy.exists()
    with path.open("r+b") as file:
        file.truncate(0)  # what `cp` begins with; a mapping of this file would end the process now
    assert classifier.classify(RED).labels == ("a",)


def test_a_copy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be copied for loading: No such file"), private_copy(tmp_path / "no"):
        pass


def test_frames_in_flight_keep_their_model(watched: Watched, other: Path) -> None:
    prepared = watched.slot.current.prepare(np.asarray(RED))
    model = watched.slot.current
    other.replace(watched.path)
    assert watched.reloader.reload()
    assert model.judge(model.run(prepared)[0], AnswerRules())[1] == ("red",)
    assert watched.answer() == "rot"
