from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.actions.options import CommandRule
from runtime.answers import AnswerRules
from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.load_request import LoadRequest
from runtime.options import ClassifyOptions, ModelOptions, OutputOptions
from runtime.private_copy import PrivateCopies
from runtime.reload import ModelReloader, open_reloader
from runtime.sources.open import CameraOptions
from runtime.trial import try_model
from tests.runtime.conftest import COLOURS, spec_of
from tests.runtime.seen import Log, eventually
from tests.runtime.tiny_models import mean_colour_model

RED = Image.new("RGB", (8, 8), COLOURS["red"])


class Watched:
    """A model file in use, and what its reloader says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.reloader = ModelReloader(path, self.load, self.said.append, interval=0.05)
        self.slot = self.reloader.slot

    def load(self) -> Classifier:
        with PrivateCopies().of(self.path) as copy:
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


def test_a_file_that_is_replaced_while_the_first_one_is_loaded(colours: Path, other: Path) -> None:
    class Replaced(Watched):
        def load(self) -> Classifier:
            classifier = super().load()
            if other.exists():
                other.replace(self.path)
            return classifier

    watched = Replaced(colours)
    assert watched.answer() == "red"
    with watched.reloader.watching():
        watched.wait_for("is in use")
    assert watched.answer() == "rot"


def test_a_hangup_loads_the_file_again(watched: Watched) -> None:
    with watched.reloader.watching():
        before = watched.slot.current
        os.kill(os.getpid(), signal.SIGHUP)
        watched.wait_for("is in use")
        assert watched.slot.current is not before
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_model_that_is_written_over_while_it_runs(save_model: Callable[..., Path]) -> None:
    path = save_model(mean_colour_model(then="SOFTMAX"), spec_of("a", "b", "c"), "over.tflite")
    with PrivateCopies().of(path) as copy:
        assert copy.name == path.name
        classifier = Classifier.load(copy)
    assert not copy.exists()
    with path.open("r+b") as file:
        file.truncate(0)  # what `cp` begins with; a mapping of this file would end the process now
    assert classifier.classify(RED).labels == ("a",)


def test_a_copy_of_nothing(tmp_path: Path) -> None:
    missing = PrivateCopies().of(tmp_path / "no")
    with pytest.raises(ModelError, match="cannot be copied for loading: No such file"), missing:
        pass


def test_a_file_that_is_written_to_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    copy = shutil.copy

    def while_somebody_writes(source: Path, folder: str) -> str:
        done = copy(source, folder)
        path.write_bytes(b"newer")
        return str(done)

    monkeypatch.setattr("runtime.private_copy.shutil.copy", while_somebody_writes)
    with (
        pytest.raises(ModelError, match=r"is being written to; put whole files in its place"),
        PrivateCopies().of(path),
    ):
        pass


def test_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "m.tflite").touch()
    for name, age in (("edge-export-model-old", 7200), ("edge-export-model-new", 60), ("elses", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.tflite").touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with PrivateCopies().of(tmp_path / "m.tflite"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edge-export-model-new", "elses", "m.tflite"]


def test_nothing_is_left_of_a_reload_that_the_end_interrupts(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    log = Log()
    reloader = open_reloader(ClassifyOptions(model=ModelOptions(colours)), log)
    goes_on = threading.Event()
    monkeypatch.setattr("runtime.reload.try_model", lambda request, nice: goes_on.wait(20))
    with reloader.watching():
        os.kill(os.getpid(), signal.SIGHUP)
        assert eventually(lambda: list(temporary.glob("*/colours.tflite")))
    assert list(temporary.iterdir()) == []
    goes_on.set()
    reloader._thread.join(20)
    assert (list(temporary.iterdir()), log.lines) == ([], [])


def test_a_model_without_the_labels_that_options_name(colours: Path, save_model: Callable[..., Path]) -> None:
    """It would not be taken after the next start either."""
    log = Log()
    outputs = OutputOptions(on=(CommandRule("red", ("true",)),), gpio=(("unknown", "17"), ("緑 grün", "18")))
    rules = AnswerRules(deny=("two\nlines",))
    options = ClassifyOptions(model=ModelOptions(colours), rules=rules, outputs=outputs)
    reloader = open_reloader(options, log)
    before = reloader.slot.current
    model = mean_colour_model(then="SOFTMAX")
    for labels, missing in (
        (("Red", "緑 grün", "two\nlines"), "--on red: the model has no such label; is Red meant?"),
        (("red", "two\nlines", "blau"), "--gpio 緑 grün: the model has no such label"),
        (("red", "緑 grün", "blau"), "--deny 'two\\nlines': the model has no such label"),
    ):
        save_model(model, spec_of(*labels), colours.name)
        assert not reloader.reload()
        assert f"is refused, the old one stays in use: {missing}" in log.lines[-1]
        assert reloader.slot.current is before
    save_model(model, spec_of("two\nlines", "red", "緑 grün"), colours.name)
    assert reloader.reload()
    assert reloader.slot.current.contract.labels[0] == "two\nlines"


def test_warnings_and_errors_name_the_users_file(save_model: Callable[..., Path]) -> None:
    path = save_model(mean_colour_model("uint8", scale=1 / 255, then="SOFTMAX"), name="two\nlines.tflite")
    log = Log()
    model = open_reloader(ClassifyOptions(camera=CameraOptions("clip.mp4"), model=ModelOptions(path)), log).slot.current
    assert [line.partition(":")[2][: len(repr(str(path))) + 1] for line in log.lines] == [f" {str(path)!r}"]
    assert model.contract.file.path == path
    with model.for_one_thread() as twin, pytest.raises(ModelError) as caught:
        twin.model.run(np.zeros((1, 9, 9, 3), np.uint8))
    assert str(caught.value).startswith(f"{str(path)!r}: the model fails")


@pytest.mark.parametrize(("camera", "twins"), [("clip.mp4", True), ("test", False)])
def test_threads_get_interpreters_of_their_own_where_every_frame_counts(
    camera: str, twins: bool, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later they cannot be made: the copy of the file is gone."""
    monkeypatch.setattr("runtime.twins.processors", lambda: 2)
    options = ClassifyOptions(camera=CameraOptions(camera), model=ModelOptions(colours, threads=1))
    model = open_reloader(options, Log()).slot.current
    with model.for_one_thread() as first:
        if not twins:
            with pytest.raises(ModelError, match="was replaced"), model.for_one_thread():
                pass
            return
        with model.for_one_thread() as second:
            assert second is not first
            assert second.classify(RED).labels == first.classify(RED).labels == ("red",)


def test_a_failure_that_nobody_foresaw_ends_no_watching(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Classifier:
        raise RuntimeError("odd")

    good = watched.reloader._load
    monkeypatch.setattr(watched.reloader, "_load", fail)
    with watched.reloader.watching():
        os.kill(os.getpid(), signal.SIGHUP)
        watched.wait_for("is refused, the old one stays in use: RuntimeError: odd")
        monkeypatch.setattr(watched.reloader, "_load", good)
        os.kill(os.getpid(), signal.SIGHUP)
        watched.wait_for("is in use")


def test_frames_in_flight_keep_their_model(watched: Watched, other: Path) -> None:
    prepared = watched.slot.current.prepare(np.asarray(RED))
    model = watched.slot.current
    other.replace(watched.path)
    assert watched.reloader.reload()
    assert model.judge(model.run(prepared)[0], AnswerRules())[1] == ("red",)
    assert watched.answer() == "rot"
