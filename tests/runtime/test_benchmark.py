from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.benchmark import STAGES, BenchmarkOptions, Spread, benchmark
from runtime.cli import main
from runtime.errors import ModelError
from runtime.load_request import LoadRequest
from runtime.processors import processors
from tests.runtime.conftest import spec_of
from tests.runtime.tiny_models import mean_colour_model

Capture = pytest.CaptureFixture[str]


def test_spread() -> None:
    spread = Spread.of([float(n) for n in range(1, 102)])
    assert (spread.mean, spread.median, spread.p90, spread.p99) == (51, 51, 91, 100)


def test_every_number_of_threads_and_stage(colours: Path, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"text")
    report = benchmark(BenchmarkOptions(LoadRequest(colours), images=(photos,), runs=7, warm_up=0, rounds=2))
    assert report.pictures == f"3 pictures of {photos}"
    assert [m.threads for m in report.model.measured] == list(range(1, min(8, processors()) + 1))
    for measured in report.model.measured:
        assert {len(times) for times in measured.stages.values()} == {7}
        assert len(measured.load) == len(measured.first) == 2
        assert all(time > 0 for name in STAGES for time in measured.stages[name])
        assert measured.in_all[0] == pytest.approx(sum(measured.stages[name][0] for name in STAGES))
    assert report.model.best in report.model.measured
    assert report.baseline is None


def test_text_and_a_baseline(colours: Path, save_model: Callable[..., Path], capsys: Capture) -> None:
    other = save_model(mean_colour_model(size=(64, 64), then="SOFTMAX"), spec_of("a", "b", "c", height=64, width=64))
    assert main(["benchmark", str(colours), "--baseline", str(other), "--runs", "3", "--threads", "1"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert "8 drawn pictures, JPEG 640 x 480; 3 answers for each number of threads" in lines[1]
    assert lines[4].startswith(f"{colours}: 0.00 MB, float32 input 8 x 8")
    assert lines[5].split()[:4] == ["threads", "load", "first", "answer"]
    assert lines[6].split()[0] == "1"
    assert [line.split()[0] for line in lines[9:13]] == list(STAGES)
    assert lines[13].startswith("  in all")
    assert " times as fast as made.tflite in the forward pass, " in lines[-1]


def test_json(colours: Path, photos: Path, capsys: Capture) -> None:
    options = ["--images", str(photos / "red.png"), str(photos / "deeper"), "--runs", "4", "--threads", "2"]
    assert main(["benchmark", "--json", str(colours), "--baseline", str(colours), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema_version"] == 1
    assert report["device"]["interpreter"].startswith(("ai-edge-litert ", "tflite-runtime "))
    for part in ("model", "baseline"):
        (measured,) = report[part]["threads"]
        assert (report[part]["path"], report[part]["best_threads"]) == (str(colours), 2)
        assert (measured["threads"], measured["runs"]) == (2, 4)
        assert list(measured["milliseconds"]) == [*STAGES, "in_all"]
        assert list(measured["milliseconds"]["decode"]) == ["mean", "median", "p90", "p99"]
        assert measured["load"] > 0
        if measured["peak_bytes"] is not None:
            assert measured["peak_bytes"] > 0
    assert set(report["times_as_fast"]) == {*STAGES, "in_all"}


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--runs", "2"], 2, "--runs must be 3 to 1000000, not 2"),
        (["--warm-up", "-1"], 2, "--warm-up must be 0 to 1000000, not -1"),
        (["--threads", "0"], 2, "--threads must be 1 to 256, not 0"),
        (["--images", "none"], 2, "--images none: no such file or folder"),
        (["--images", "empty"], 2, "--images empty: no pictures that can be used"),
        (["--images", "bad.jpg"], 1, "bad.jpg: not a picture in a known format"),
        (["--baseline", "none.tflite"], 2, "--baseline none.tflite: no such file or folder"),
        (["--baseline", "bad.jpg"], 1, "bad.jpg is not a TensorFlow Lite model"),
        (["--delegate", "none/x.so"], 2, "no such file: none/x.so"),
    ],
)
def test_what_cannot_be(
    options: list[str],
    code: int,
    message: str,
    colours: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("bad.jpg").write_bytes(b"text")
    assert main(["benchmark", str(colours), *options]) == code
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert message in line


def test_a_model_that_fails_and_one_that_kills(
    save_model: Callable[..., Path], colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = save_model(mean_colour_model(then="custom"), spec_of("a", "b", "c"))
    with pytest.raises(ModelError, match="cannot load this model: .*Nonsense"):
        benchmark(BenchmarkOptions(LoadRequest(fails), runs=3))
    monkeypatch.setattr("runtime.benchmark._PATIENCE", 0.01)
    with pytest.raises(ModelError, match="the process that measured it did not answer within 0.01 s"):
        benchmark(BenchmarkOptions(LoadRequest(colours), runs=3))
