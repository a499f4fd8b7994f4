"""A second conversion: what is up to date stays, what is not is made anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters import convert as convert_module
from converters import make
from converters.bundle import CALIBRATION_FILE, MODEL_FILE, TEST_IMAGES_FILE
from converters.convert import ConversionError, convert
from converters.options import ConvertOptions
from converters.up_to_date import standing
from runtime.errors import ModelError
from runtime.spec import SPEC_FILE_NAME
from tests.converters.conversions import ANY_DROP, both, content, count_conversions, edit_json

pytest.importorskip("tensorflow")


def test_up_to_date_files_are_not_made_again(converted: Path) -> None:
    """Nor is TensorFlow loaded: the second call is quick."""
    before = content(converted / "export")
    code = (
        "import sys; from pathlib import Path; from converters.convert import convert\n"
        "from converters.options import ConvertOptions\n"
        f"conversion = convert(Path({str(converted)!r}), ConvertOptions(('int8',), max_accuracy_drop=100.0))\n"
        "print(conversion.fresh, *({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "False", done.stderr
    assert content(converted / "export") == before
    assert not convert(converted, ConvertOptions(max_accuracy_drop=ANY_DROP)).fresh, "float32 alone is there too"


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report.write_text("{", encoding="utf-8"),
        lambda report: report.write_text('{"schema_version": 1}', encoding="utf-8"),
        lambda report: edit_json(report, lambda r: r["files"].append("x")),
        lambda report: edit_json(report, lambda r: r["files"][0].update(file="../model.keras")),
    ],
)
def test_nothing_is_up_to_date_by_a_damaged_report(converted: Path, damage: Callable[[Path], None]) -> None:
    report = converted / "export" / "export.json"
    key = json.loads(report.read_bytes())["made_from"]
    assert standing(report.parent, key, both()).is_whole
    damage(report)
    found = standing(report.parent, key, both())
    assert (found.is_whole, "float32" in found.kinds) == (False, True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda export: (export / "shapes_int8.tflite").write_bytes(b"short"),
        lambda export: (export / "shapes_float32.tflite").unlink(),
        lambda export: edit_json(export / "export.json", lambda r: r["files"][0].update(file="../model.keras")),
    ],
)
def test_damaged_exports_are_made_again(converted: Path, damage: Callable[[Path], None]) -> None:
    export, model = converted / "export", (converted / MODEL_FILE).read_bytes()
    before = content(export)
    damage(export)
    assert convert(converted, both()).fresh
    after = content(export)
    assert set(after) == set(before)
    assert after["shapes_int8.tflite"] == before["shapes_int8.tflite"]
    assert (converted / MODEL_FILE).read_bytes() == model


def test_a_changed_bundle_is_converted_anew_and_stale_files_go(converted: Path) -> None:
    edit_json(converted / SPEC_FILE_NAME, lambda spec: spec.update(name="renamed"))
    (converted / "export" / "mine.txt").write_text("of the user", encoding="utf-8")
    assert convert(converted, ConvertOptions()).fresh
    assert set(content(converted / "export")) == {"export.html", "export.json", "renamed_float32.tflite", "mine.txt"}


@pytest.mark.parametrize("name", [MODEL_FILE, CALIBRATION_FILE, TEST_IMAGES_FILE])
def test_every_file_of_the_bundle_counts(converted: Path, name: str) -> None:
    """Up to date means: made from this very model and checked with these very pictures."""
    path = converted / name
    path.write_bytes(path.read_bytes()[:1000])
    before = content(converted / "export")
    with pytest.raises(ModelError, match=name):
        convert(converted, both())
    assert content(converted / "export") == before


def test_more_epochs_are_tried_where_16_bits_stand_for_int8(converted: Path) -> None:
    path = converted / "export" / "export.json"

    def let_16_bits_stand_in(report: Any) -> None:
        report["files"][1] |= {"kind": "int16x8", "made_with": both().made_with("int16x8")}
        report |= {"int8_stand_in": "int16x8", "int8_made_with": both().made_with("int8")}

    edit_json(path, let_16_bits_stand_in)
    key = json.loads(path.read_bytes())["made_from"]
    assert standing(path.parent, key, both()).is_whole
    assert standing(path.parent, key, both(qat=3)).kinds == ("int8",)


@pytest.mark.parametrize("more", [{}, {"formats": ("pb",)}])
def test_a_file_that_was_removed_is_not_spoken_of(converted: Path, more: dict[str, Any]) -> None:
    (converted / "export" / "shapes_int8.tflite").unlink()
    report = convert(converted, ConvertOptions(max_accuracy_drop=ANY_DROP, **more)).report
    assert [(entry["kind"], entry["max_accuracy_drop"]) for entry in report["files"]] == [("float32", ANY_DROP)]
    assert json.loads((converted / "export" / "export.json").read_bytes()) == report


def test_what_another_conversion_made_meanwhile_stays(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = convert_module.make_report

    def meanwhile(*arguments: Any) -> dict[str, Any]:
        monkeypatch.undo()
        convert(converted, both(formats=("pb",)))
        return real(*arguments)

    monkeypatch.setattr(convert_module, "make_report", meanwhile)
    report = convert(converted, both(formats=("c-array",))).report
    assert sorted(entry["format"] for entry in report["formats"]) == ["c-array", "pb"]
    assert {"shapes.pb", "shapes_int8_model.cc"} <= set(content(converted / "export"))


def test_a_stricter_limit_is_tried_again(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted with a wide limit is no longer up to date under a narrow one."""
    export = converted / "export" / "export.json"
    edit_json(export, lambda report: report["files"][1].update(accuracy_drop=3.0, label_agreement=1.0))
    made = count_conversions(monkeypatch)
    conversion = convert(converted, both(max_accuracy_drop=3.0))
    assert not conversion.fresh
    assert made == []
    report = json.loads(export.read_bytes())
    assert report == conversion.report
    assert [report["max_accuracy_drop"], *(e["max_accuracy_drop"] for e in report["files"])] == [3.0] * 3
    edit_json(export, lambda report: report["files"][0].update(accuracy_drop=3.0))
    convert(converted, ConvertOptions())
    assert made == ["convert_float32"]


def test_a_loss_that_may_be_chance_is_tried_again_under_another_limit(
    converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was within a wide limit; a narrow one asks for the other ways, once."""
    worse = {"better": [], "worse": [0], "other": [], "chance": 0.5}
    lossy = {"accuracy_drop": 3.0, "label_agreement": 0.98, "changed": worse}
    edit_json(converted / "export" / "export.json", lambda report: report["files"][1].update(lossy))
    assert not convert(converted, both(max_accuracy_drop=5.0)).fresh
    monkeypatch.setattr(make, "quantize_int8", lambda *_: (_ for _ in ()).throw(ModelError("made anew")))
    with pytest.raises(ConversionError, match="made anew"):
        convert(converted, both(max_accuracy_drop=2.0))


def test_only_what_is_missing_is_made(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_json(converted / "export" / "export.json", lambda report: report.update(int8_attempts=[], int8_choice="why"))
    before, files = json.loads((converted / "export" / "export.json").read_bytes()), content(converted / "export")
    made, told = count_conversions(monkeypatch), list[str]()
    conversion = convert(converted, both(formats=("pb", "c-array")), told.append)
    assert conversion.fresh
    assert made == []
    assert told == ["Loading the trained model", "Converting to pb", "Converting to c-array"]
    assert conversion.report["files"] == before["files"], "their proofs too"
    assert conversion.report["test_scores"] == before["test_scores"]
    assert (conversion.report["int8_attempts"], conversion.report["int8_choice"]) == ([], "why")
    after = content(converted / "export")
    assert {"shapes.pb", "shapes_int8_model.cc"} <= after.keys()
    assert {name: after[name] for name in files if name.endswith(".tflite")} == {
        name: data for name, data in files.items() if name.endswith(".tflite")
    }
    report = convert(converted, ConvertOptions(quantize=("float16",), max_accuracy_drop=ANY_DROP), told.append).report
    assert [entry["kind"] for entry in report["files"]] == ["float32", "float16", "int8"]
    assert [entry["format"] for entry in report["formats"]] == ["pb", "c-array"]
    assert report["int8_choice"] == "why", "int8 was not asked for, and lies there"
    assert [line for line in told if "Checking" in line] == [told[-1]]


def test_a_file_that_was_not_asked_for_now_stays(converted: Path) -> None:
    int8 = next((converted / "export").glob("*_int8.tflite"))
    before = int8.read_bytes()
    report = convert(converted, ConvertOptions(force=True)).report
    assert int8.read_bytes() == before
    assert [entry["kind"] for entry in report["files"]] == ["float32", "int8"]
    assert {"trained", "float32", "int8"} <= report["test_scores"][0].keys()
