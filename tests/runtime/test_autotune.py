from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from runtime import autotune
from runtime.autotune import Measured, Tuning, tune
from runtime.child import ChildDied
from runtime.classifier import Classifier
from runtime.contract import Overrides
from runtime.delegates import Delegate
from runtime.errors import ModelError, UsageError
from runtime.load_request import LoadRequest
from runtime.processors import processors
from tests.runtime.tiny_models import mean_colour_model

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_all_ways_are_measured(colours: Path) -> None:
    tuning = tune(LoadRequest(colours))
    ways = [(way.threads, way.xnnpack) for way in tuning.tried]
    threads = range(1, min(4, processors()) + 1)
    assert ways[: len(threads)] == [(number, "auto") for number in threads]
    assert "off" in {xnnpack for _, xnnpack in ways}
    assert len(set(ways)) == len(ways)
    assert tuning.best in tuning.tried
    assert all(way.milliseconds > 0 for way in tuning.tried)


def test_what_is_given_stays(colours: Path) -> None:
    tuning = tune(LoadRequest(colours, threads=3, xnnpack="off"))
    assert [(way.threads, way.xnnpack) for way in tuning.tried] == [(3, "off")]
    assert {way.threads for way in tune(LoadRequest(colours, threads=2)).tried} == {2}


def test_the_best() -> None:
    one, two, off = Measured(1, "auto", 10.0), Measured(2, "auto", 9.8), Measured(1, "off", 9.9)
    assert autotune._best([one, two, off]) == one, "a thread more for 2 % is not worth it"
    assert autotune._best([one, Measured(2, "auto", 6.0), off]).threads == 2
    assert autotune._best([one, Measured(1, "off", 5.0)]).xnnpack == "off"


def test_what_it_says() -> None:
    ways = (Measured(1, "auto", 10.0), Measured(2, "on", 5.0))
    assert Tuning(ways[1], ways).text() == (
        "2 threads, XNNPACK on: 5.0 ms a picture (--threads 2 --xnnpack on says so without measuring); "
        "1 thread, XNNPACK auto: 10.0 ms"
    )


def test_a_way_that_crashes_is_left_out(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(function: str, request: object, seconds: float) -> None:
        raise ChildDied("crashed (SIGSEGV)", told, "")

    monkeypatch.setattr(autotune, "run_in_child", crash)
    told = [[1, "auto", 5.0], [2, "auto", 3.0]]
    assert tune(LoadRequest(colours)).threads == 2
    told = []
    with pytest.raises(ModelError, match=r"--autotune could not run the model: crashed \(SIGSEGV\); leave"):
        tune(LoadRequest(colours))


def test_a_way_with_other_answers_is_left_out(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = LoadRequest.load

    def wrong(self: LoadRequest) -> Classifier:
        classifier = load(self)
        if self.threads == 2:
            monkeypatch.setattr(classifier, "run", lambda prepared: (np.float32([1, 0, 0]), 0.001))
        return classifier

    monkeypatch.setattr(LoadRequest, "load", wrong)
    monkeypatch.setattr(autotune, "processors", lambda: 3)
    told: list[object] = []
    ways = autotune.measure(LoadRequest(colours).to_json(), told.append)
    assert {threads for threads, _, _ in ways} == {1, 3}
    assert told == [list(way) for way in ways]


def test_errors_are_those_of_loading(tmp_path: Path, save_model: Callable[..., Path]) -> None:
    (tmp_path / "text.tflite").write_text("text")
    with pytest.raises(ModelError, match="text.tflite is not a TensorFlow Lite model"):
        tune(LoadRequest(tmp_path / "text.tflite"))
    with pytest.raises(UsageError, match="give --mean and --std"):
        tune(LoadRequest(save_model(mean_colour_model())))


def test_a_request_goes_through_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    delegate = Delegate("x.so:a=b", "x.so", (("a", "b"),))
    overrides = Overrides(Path("labels.txt"), (1.0,), (2.0, 3.0, 4.0), "nearest")
    request = LoadRequest(Path("緑\udcff.tflite"), overrides, 3, "on", delegate)
    again = LoadRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again.path == tmp_path / "緑\udcff.tflite"
    assert again.overrides == Overrides(tmp_path / "labels.txt", (1.0,), (2.0, 3.0, 4.0), "nearest")
    assert (again.threads, again.xnnpack, again.delegate) == (3, "on", delegate)
    plain = LoadRequest(tmp_path / "m.tflite")
    assert LoadRequest.from_json(plain.to_json()) == LoadRequest(tmp_path / "m.tflite", Overrides())


def test_from_python(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(3, "off", 1.0)
    monkeypatch.setattr(autotune, "tune", lambda request: Tuning(measured, (measured,)))
    classifier = Classifier.load(colours, autotune=True)
    assert classifier.model.threads == 3
    monkeypatch.undo()
    assert Classifier.load(colours, autotune=True, threads=2).model.threads == 2


def test_the_command(colours: Path, photos: Path, run_module: Run) -> None:
    done = run_module("classify", "--model", str(colours), "--autotune", "--json", str(photos / "red.png"))
    assert done.returncode == 0
    assert re.fullmatch(
        r"autotune: \d threads?, XNNPACK (auto|off): [\d.]+ ms a picture \(--threads \d --xnnpack (auto|off) says so "
        r"without measuring\).*\n",
        done.stderr,
    )
    assert json.loads(done.stdout)["labels"] == ["red"]


def test_xnnpack_for_8_bits_on_tflite_runtime(thirdparty: Path, floor_python: Path, run_module: Run) -> None:
    """The answers stay, and it is many times as fast: 72 ms become 6 where this was written."""
    model, cat = str(thirdparty / "mobilenet_v2_1.0_224_quant.tflite"), str(thirdparty / "cat.bmp")
    scores, times = {}, {}
    for xnnpack in ("on", "auto"):
        options = ("--xnnpack", xnnpack, "--threads", "1", "--resample", "tf-bilinear", "--top-k", "3", "--json")
        done = run_module("classify", "--model", model, *options, *[cat] * 9, python=floor_python)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        scores[xnnpack] = {p["class_id"]: p["score"] for p in answers[0]["predictions"]}
        times[xnnpack] = min(answer["milliseconds"]["invoke"] for answer in answers)
    assert scores["on"][286] >= 0.70
    assert scores["auto"][286] == pytest.approx(scores["on"][286], abs=0.05)
    done = run_module("classify", "--model", model, "--autotune", "--threads", "1", cat, python=floor_python)
    assert done.stderr.startswith("autotune: 1 thread, XNNPACK on: "), (done.stderr, times)
