"""``toolkit convert`` as a user types it: exit codes, what is printed, where."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from converters.convert import Conversion
from toolkit.cli import main
from toolkit.commands.convert import export_table, print_next
from toolkit.tables import text_width

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def converted(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("command") / "my model"))
    assert main(["convert", str(folder), "--quantize", "--max-accuracy-drop", "100"]) == 0
    return folder


def entry(**changes: Any) -> dict[str, Any]:
    accuracy = {"accuracy": 0.9, "correct": 9, "images": 10, "interval_95": [0.596, 0.982]}
    return {
        "file": "x_int8.tflite",
        "bytes": 3_520_000,
        "accuracy": accuracy,
        "accuracy_drop": 1.5,
        "accepted": True,
        "top1_agreement": 0.95,
        "unknown": 0,
        "unknown_changed": 0,
        "largest_score_difference": 0.0194,
        "changed": {"better": [1], "worse": [2, 3], "other": [], "chance": 0.5},
        "interpreter": "ai-edge-litert 2.3.0",
        "threads": 2,
        "latency_ms": 1.234,
        "latency_one_thread_ms": 2.345,
        "peak_memory": 12_400_000,
        "floor": None,
    } | changes


def test_table() -> None:
    files = [entry(), entry(file="花.tflite (2)", accepted=False, unknown=4, unknown_changed=3)]
    report = {"trained": {"accuracy": entry()["accuracy"], "unknown": 1}, "files": files, "formats": []}
    lines = export_table(report).splitlines()
    measured = ["90.0% (N=10)", "59.6% - 98.2%"]
    header = ["file", "size", "test accuracy", "95 % interval", "drop", "better/worse", "agreement", "score diff"]
    figures = [*measured, "1.5 points", "1/2", "95.0%", "0.019", "1.2 ms", "2.3 ms", "12 MB"]
    assert [re.split(" {2,}", line) for line in (lines[0], *lines[2:])] == [
        [*header, "2 threads", "1 thread", "memory", "unknown"],
        ["(trained model)", *measured, "1"],
        ["x_int8.tflite", "3.52 MB", *figures, "0"],
        ["花.tflite (2) (refused)", "3.52 MB", *figures, "4, 3 changed"],
    ]
    assert len({text_width(line) for line in (*lines[:2], *lines[3:])}) == 1


def test_table_without_test_pictures() -> None:
    nothing = {"accuracy": None, "correct": 0, "images": 0, "interval_95": [0.0, 1.0]}
    files = [entry(accuracy=nothing, accuracy_drop=None)]
    report = {"trained": {"accuracy": nothing, "unknown": 0}, "files": files, "formats": []}
    assert "no test pictures" in export_table(report)
    assert "points" not in export_table(report)


def test_text(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(converted), "--quantize", "--max-accuracy-drop", "100"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("the files are there and up to date")
    assert lines[1].startswith("file  ")
    assert [line.split()[0] for line in lines[3:6]] == ["(trained", "shapes_float32.tflite", "shapes_int8.tflite"]
    report = json.loads((converted / "export" / "export.json").read_bytes())
    changed = any(entry["changed"][what] for entry in report["files"] for what in ("better", "worse", "other"))
    shows = "the pictures whose answer changed" if changed else "the same"
    assert lines[-2] == f"files in {converted / 'export'}; export.html shows {shows}"
    model = converted / "export" / "shapes_int8.tflite"
    assert lines[-1] == f"next: runtime classify --model '{model}' PICTURE"
    assert printed.err == ""


def test_what_happens_goes_to_standard_error(
    converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "files"
    assert main(["convert", str(converted), "--json", "--output-dir", str(target)]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["folder"], report["fresh"], len(report["files"])) == (str(target), True, 1)
    assert "test_scores" not in report
    told = printed.err.splitlines()
    assert told[:2] == ["Loading the trained model", "Converting to float32"]
    assert len(told) == 3, "chatter of TensorFlow or the interpreter"
    assert main(["convert", str(converted), "--json", "--output-dir", str(target)]) == 0
    assert json.loads(capsys.readouterr().out) == report | {"fresh": False}


def test_a_refused_file_is_exit_1_with_the_table(
    converted: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("converters.loss.Loss.is_accepted", lambda *_: False)
    monkeypatch.setattr("converters.prove.refusal_with_advice", lambda *_: "loses 50 points")
    assert main(["convert", str(converted), "--output-dir", str(tmp_path / "files")]) == 1
    printed = capsys.readouterr()
    assert "shapes_float32.tflite (refused)" in printed.out
    assert printed.err.splitlines()[-1] == "toolkit: error: loses 50 points"
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["export.html", "export.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "nothing: no such file or folder"),
        (["."], 2, ". holds no model: neither a bundle of toolkit train nor a SavedModel"),
        ([".", "--max-accuracy-drop", "101"], 2, "must be 0 to 100 points, not 101"),
        ([".", "--max-accuracy-drop", "nan"], 2, "must be 0 to 100 points, not nan"),
        (
            [".", "--max-accuracy-drop", "few"],
            2,
            "--max-accuracy-drop: must be a number; got 'few'; see toolkit",
        ),
        ([".", "extra"], 2, "unrecognized arguments: extra"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("worse", [[], [2]])
def test_changed_pictures_are_spoken_of_where_there_are_some(
    worse: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"better": [], "worse": worse, "other": [], "chance": 1.0}
    report = {"files": [entry(kind="int8", changed=changed)], "formats": []}
    print_next(Conversion(Path("export"), report, fresh=True))
    assert ("whose answer changed" in capsys.readouterr().out) == bool(worse)


@pytest.mark.parametrize(
    ("kinds", "taken"),
    [
        (["float32", "dynamic", "int8", "int16x8"], "int8"),
        (["float32", "mixed", "int16x8"], "mixed"),
        (["float32", "int16x8"], "int16x8"),
        (["float32"], "float32"),
    ],
)
def test_the_next_command_takes_a_quick_file(kinds: list[str], taken: str, capsys: pytest.CaptureFixture[str]) -> None:
    changed = {"better": [], "worse": [], "other": [], "chance": 1.0}
    files = [entry(kind=kind, file=f"m_{kind}.tflite", changed=changed) for kind in kinds]
    print_next(Conversion(Path("export"), {"files": files, "formats": []}, fresh=True))
    assert f"export/m_{taken}.tflite PICTURE" in capsys.readouterr().out.splitlines()[-1]
