"""``toolkit verify`` as a user types it: exit codes, what is printed, where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from converters.floor import VARIABLE
from toolkit.cli import main

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def converted(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(small_bundle, tmp_path_factory.mktemp("verify") / "my model"))
    assert main(["convert", str(folder), "--quantize", "--max-accuracy-drop", "100"]) == 0
    return folder


@pytest.fixture(autouse=True)
def no_floor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the user of this machine has in its usual place."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def int8(bundle: Path) -> Path:
    return bundle / "export" / "shapes_int8.tflite"


def verified(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any], str]:
    code = main(["verify", *map(str, words), "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


def states(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


def test_against_the_bundle(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, _ = verified(capsys, int8(converted), "--against", converted)
    assert code == 0
    assert report["passed"]
    assert set(states(report).values()) == {"ok", "not done"}
    recorded = json.loads((converted / "export" / "export.json").read_bytes())["files"][1]
    assert recorded["kind"] == report["kind"] == "int8"
    (run,) = report["runs"]
    for name in ("accuracy", "top1_agreement", "accuracy_drop", "changed", "largest_score_difference"):
        assert run[name] == recorded[name], name


def test_text(converted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(int8(converted)), "--against", str(converted / "export")]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["ok", "unchanged", "its", "sha256", "is", "the", "one", "in", "export.json"]
    assert lines[-1].startswith("ai-edge-litert ")
    assert lines[-3].split()[:2] == ["on", "accuracy"]
    assert printed.err.splitlines() == ["Running the trained model", "Running shapes_int8.tflite"]


def test_against_class_folders(
    converted: Path, shapes: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(shapes, tmp_path / "photos"))
    each = len(list((photos / "plus").iterdir()))
    (photos / "circle").rename(photos / "Circle")
    (photos / "plus").rename(photos / "something else")
    (photos / "square" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    code, report, told = verified(capsys, int8(converted), "--against", photos)
    assert code == 0
    assert report["compared"]
    assert "shapes_float32.tflite stands for the trained model" in told
    assert f"{each} pictures lie in folders that are named like no class of the model; left out" in told
    assert "skipped: " in told
    assert "broken.jpg" in told
    assert report["runs"][0]["accuracy"]["images"] == 3 * each


def test_against_any_pictures(
    converted: Path, shapes: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(shapes / "circle", tmp_path / "photos"))
    alone = tmp_path / "花_int8.tflite"
    shutil.copy(int8(converted), alone)
    code, report, told = verified(capsys, alone, "--against", photos)
    assert code == 0
    assert not report["compared"]
    assert states(report)["accuracy"] == states(report)["unchanged"] == "not done"
    assert "the true labels are not known" in told


def test_a_proof_that_fails_is_exit_1(converted: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wrong = tmp_path / "x_int8.tflite"
    shutil.copy(converted / "export" / "shapes_float32.tflite", wrong)
    assert main(["verify", str(wrong), "--against", str(converted), "--min-runtime", "1.5"]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == "toolkit: error: x_int8.tflite fails: kind, operators"
    failed = [line for line in printed.out.splitlines() if line.startswith("FAILED")]
    assert [line.split()[1] for line in failed] == ["kind", "operators"]


def test_on_the_floor(converted: Path, floor_python: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, _ = verified(capsys, int8(converted), "--against", converted, "--floor-python", floor_python)
    assert (code, states(report)["runs on tflite-runtime"]) == (0, "ok")
    assert [run["interpreter"].split()[0] for run in report["runs"]] == ["ai-edge-litert", "tflite-runtime"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.tflite", "--against", "."], 2, "no such file: none.tflite"),
        (["x.tflite", "--against", "nowhere"], 2, "--against nowhere: no such folder; name a bundle or a folder of"),
        (["x.tflite"], 2, "--against"),
        (["x.tflite", "--against", "."], 1, "x.tflite is not a TensorFlow Lite model"),
        (["x.tflite", "--against", ".", "--min-runtime", "new"], 2, "--min-runtime must be litert or a TensorFlow"),
        (["x.tflite", "--against", ".", "--max-accuracy-drop", "101"], 2, "must be 0 to 100 points, not 101"),
        (["x.tflite", "--against", ".", "--floor-python", "gone"], 2, "--floor-python gone: no such file"),
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
    Path("x.tflite").write_bytes(b"no model")
    assert main(["verify", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]


def test_an_empty_folder(converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(int8(converted)), "--against", str(tmp_path / "empty")]) == 1
    assert "not one picture of" in capsys.readouterr().err.splitlines()[-1]


def test_a_damaged_bundle(converted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = Path(shutil.copytree(converted, tmp_path / "damaged"))
    (damaged / "test_images.npz").write_bytes(b"short")
    assert main(["verify", str(int8(converted)), "--against", str(damaged)]) == 1
    assert "test_images.npz is damaged" in capsys.readouterr().err.splitlines()[-1]
