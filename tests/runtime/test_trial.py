from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import ModelError
from runtime.load_request import LoadRequest
from runtime.trial import try_model

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows gives crashes other numbers")


def stand_in(folder: Path, action: str) -> None:
    """An interpreter that does something when a model is loaded, and then refuses it."""
    package = folder / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    text = f"import os, signal\nclass Interpreter:\n    def __init__(self, **options):\n        {action}\n"
    (package / "interpreter.py").write_text(text, encoding="utf-8")


def test_a_sound_model(colours: Path) -> None:
    try_model(LoadRequest(colours))


def test_what_the_child_refuses_is_said(tmp_path: Path, thirdparty: Path) -> None:
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ModelError, match=r"text\.tflite"):
        try_model(LoadRequest(tmp_path / "text.tflite"))
    with pytest.raises(ModelError, match="is no picture classifier"):
        try_model(LoadRequest(thirdparty / "model_invoking_error.tflite"))


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("os.abort()", r"crashes the interpreter \(SIGABRT\); convert the model again"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"crashes the interpreter \(SIGSEGV\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "most likely for lack of memory"),
    ],
)
def test_a_crash(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch, action: str, text: str) -> None:
    stand_in(tmp_path, action)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=text):
        try_model(LoadRequest(colours))


def test_a_model_that_never_answers(tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, "signal.pause()")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("runtime.trial._PATIENCE", 1.0)
    with pytest.raises(ModelError, match="the model did not answer within 1 s"):
        try_model(LoadRequest(colours))


def test_no_process_can_be_started_for_it(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("runtime.child.subprocess.run", refuse)
    with pytest.raises(
        ModelError, match=r"colours\.tflite: cannot be tried .* no process can be started: Resource temp"
    ):
        try_model(LoadRequest(colours))


def test_a_camera_is_not_opened_for_it(tmp_path: Path, colours: Path, run_module: Run) -> None:
    stand_in(tmp_path, "os.abort()")
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).resolve().parents[2])])
    done = run_module(
        "classify", "--camera", "none.mp4", "--model", str(colours), module="runtime", env={"PYTHONPATH": path}
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"runtime: error: {colours}: crashes the interpreter (SIGABRT); convert the model again, or fetch it again\n"
    )
