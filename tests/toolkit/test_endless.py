"""Loops that never end in models of strangers: given up with one line, and no hindrance to Ctrl-C and SIGTERM."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.inputs import loops
from converters.inputs.loops import run_limited
from converters.inputs.open_source import open_source
from converters.inputs.predictor import probabilities
from converters.tensorflow import import_tensorflow
from tests.toolkit import endless
from tests.toolkit import predict_models as models
from tests.toolkit.predict_models import toolkit
from tests.toolkit.trainings import ROOT

# The command as it is, but for a limit that no test waits for.
_COMMAND = "import sys; from converters.inputs import loops; loops.LONGEST_RUN = 3600.0; "
_COMMAND += "from toolkit import cli; sys.exit(cli.main())"
_PATIENCE = 120


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return models.colour_pictures(tmp_path / "colours") / "red.png"


def refusal(capsys: pytest.CaptureFixture[str], picture: Path, model: Path) -> str:
    assert toolkit("predict", picture, "--model", model) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    line: str = said.err.splitlines()[-1]
    assert line.startswith(f"toolkit: error: {model}: ")
    return line


@pytest.mark.parametrize("write", [endless.frames, endless.one_operation, endless.saved_model])
def test_is_given_up(
    write: Callable[[Path], Path],
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(loops, "LONGEST_RUN", 2.0)
    line = refusal(capsys, picture, write(tmp_path / "model.pb"))
    assert "does not end within 2 seconds; it holds a loop that never ends" in line
    assert not [thread for thread in threading.enumerate() if thread.name == "network"], "nothing runs on"


def test_is_given_up_while_it_loads(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loops, "LONGEST_RUN", 2.0)
    model = endless.saved_model(tmp_path / "model", while_it_loads=True)
    assert "does not end within 2 seconds" in refusal(capsys, picture, model)


def test_a_function_that_calls_itself(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "calls itself; nothing of it was run" in refusal(capsys, picture, endless.calls_itself(tmp_path / "m.pb"))


def test_a_saved_loop_that_nothing_could_end(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = endless.without_marks(endless.saved_model(tmp_path / "model"))
    assert "While is written so that nothing could end it" in refusal(capsys, picture, model)


def test_a_loop_that_ends_is_no_hindrance(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``tf.map_fn`` leaves one; a graph of its own takes it in, to be converted."""
    tf = import_tensorflow()

    def build(_tf: object) -> None:
        image = tf.compat.v1.placeholder(tf.float32, [1, models.SIZE, models.SIZE, 3], name="input")
        each = tf.map_fn(lambda one: one * models.STEEP, image)
        tf.nn.softmax(tf.reduce_mean(each, [1, 2]), name="final_result")

    path = models.write_graph(tmp_path / "model.pb", build)
    assert b"While" in path.read_bytes()
    models.write_labels(tmp_path / "labels.txt")
    assert toolkit("predict", picture, "--model", path) == 0
    assert "red" in capsys.readouterr().out.splitlines()[0]
    source = open_source(path)
    images = source.check_pictures().images
    each = np.stack([probabilities(source._network.raw(image), True, "m") for image in images])
    assert np.abs(source.scores(images) - each).max() < 1e-5


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(
    ("write", "command", "number"),
    [
        (endless.frames, "predict", signal.SIGINT),
        (endless.saved_model, "convert", signal.SIGTERM),
    ],
)
def test_signals_end_it(
    write: Callable[[Path], Path], command: str, number: signal.Signals, picture: Path, tmp_path: Path
) -> None:
    model = write(tmp_path / "model.pb")
    before = sorted(tmp_path.rglob("*"))
    words = ["predict", picture, "--model", model] if command == "predict" else ["convert", model]
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background has Ctrl-C ignored, and its children, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    try:
        assert process.stderr.readline().startswith("model: "), "the last that is said before the network runs"
        time.sleep(1)
        process.send_signal(number)
        printed, said = process.communicate(timeout=_PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert said.strip() == ("toolkit: interrupted" if number == signal.SIGINT else "toolkit: ended by SIGTERM")
    assert printed == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_errors_and_results_come_through() -> None:
    def fail() -> None:
        raise ZeroDivisionError("no")

    cancelled: list[int] = []
    assert run_limited(lambda: 7, lambda: cancelled.append(1), "m") == 7
    with pytest.raises(ZeroDivisionError):
        run_limited(fail, lambda: cancelled.append(1), "m")
    assert not cancelled
