from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import MissingPackageError, ModelError, UsageError
from runtime.interpreter import LoadedModel, OperatorRunner, default_threads, interpreter_name
from runtime.processors import processors
from runtime.versions import package_version
from tests.runtime.tiny_models import mean_colour_model

SaveModel = Callable[..., Path]
INSTALLED = interpreter_name().split()[0]


def test_the_name_has_a_version() -> None:
    name, version = interpreter_name().split()
    assert name in ("ai-edge-litert", "tflite-runtime")
    assert version[0].isdigit()


def test_threads() -> None:
    assert 1 <= default_threads() <= min(4, processors())
    assert processors() == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("threads", [None, 1, 3])
def test_a_model_runs(as_bytes: bool, threads: int | None, save_model: SaveModel) -> None:
    data = mean_colour_model("uint8", scale=0.5, zero_point=7)
    model = LoadedModel(data if as_bytes else save_model(data), threads)
    assert (model.input_shape, model.classes) == ((1, 8, 8, 3), 3)
    assert (model.input.dtype, model.input.scale, model.input.zero_point) == (np.uint8, 0.5, 7)
    assert model.output == model.input
    picture = np.broadcast_to(np.array([1, 20, 250], np.uint8), (1, 8, 8, 3))
    assert model.run(picture).tolist() == [1, 20, 250]
    assert model.run(picture[..., ::-1]).tolist() == [250, 20, 1]


def test_several_pictures_a_run_written_to_the_interpreters_own_memory() -> None:
    model = LoadedModel(mean_colour_model(), threads=1, batch=3)
    assert (model.input_shape, model.classes) == ((3, 8, 8, 3), 3)
    for number in range(3):
        model.input_memory()[number] = np.float32([number, 10 + number, 20 + number])
    assert model.run().reshape(3, 3).tolist() == [[0, 10, 20], [1, 11, 21], [2, 12, 22]]
    held = model.input_memory()
    with pytest.raises(ModelError, match="the model fails when it runs"):
        model.run()
    del held
    assert model.run(np.ones((3, 8, 8, 3), np.float32)).tolist() == [1] * 9


def test_answers_do_not_share_memory() -> None:
    model = LoadedModel(mean_colour_model())
    first = model.run(np.full((1, 8, 8, 3), 1, np.float32))
    model.run(np.full((1, 8, 8, 3), 2, np.float32))
    assert first.tolist() == [1, 1, 1]


def test_a_path_in_any_script(save_model: SaveModel) -> None:
    LoadedModel(save_model(mean_colour_model(), name="模型 two\nlines.tflite"))


def test_a_custom_operator_is_one_line(save_model: SaveModel) -> None:
    path = save_model(mean_colour_model(then="custom"), name="two\nlines.tflite")
    with pytest.raises(ModelError, match=rf"two\\nlines.tflite': {INSTALLED} cannot load this model: .*Nonsense") as e:
        LoadedModel(path)
    assert str(e.value).isprintable()


def test_input_of_another_shape(save_model: SaveModel) -> None:
    model = LoadedModel(save_model(mean_colour_model()))
    with pytest.raises(ModelError, match="the model fails when it runs: .*Dimension mismatch"):
        model.run(np.zeros((1, 9, 8, 3), np.float32))


def test_operator_runner() -> None:
    runner = OperatorRunner(mean_colour_model(inputs=2))
    pictures = [np.full((1, 8, 8, 3), value, np.float32) for value in (3, 4)]
    assert [output.tolist() for output in runner.run(*pictures)] == [[[3, 3, 3]]]
    with pytest.raises(ModelError, match=f"a part of the model: {INSTALLED} cannot load"):
        OperatorRunner(mean_colour_model(then="custom"))


def test_the_interpreter_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_EXPORT_INTERPRETER", INSTALLED)
    assert interpreter_name().split()[0] == INSTALLED
    other = next(name for name in ("ai-edge-litert", "tflite-runtime") if name != INSTALLED)
    monkeypatch.setenv("EDGE_EXPORT_INTERPRETER", other)
    if package_version(other) is None:
        missing = rf"\(EDGE_EXPORT_INTERPRETER={other}, which is not installed\): pip install (ai|tflite)-"
        with pytest.raises(MissingPackageError, match=missing):
            interpreter_name()
    monkeypatch.setenv("EDGE_EXPORT_INTERPRETER", "foo")
    with pytest.raises(
        UsageError, match="^EDGE_EXPORT_INTERPRETER=foo: must be ai-edge-litert or tflite-runtime, or not"
    ):
        interpreter_name()


def test_the_floor_takes_tflite_runtime(
    floor_python: Path, save_model: SaveModel, run_module: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = save_model(mean_colour_model())
    done = run_module("info", str(path), python=floor_python)
    assert "tflite-runtime 2.14.0" in done.stdout
