from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from converters.gate import is_accepted
from converters.options import ConvertOptions
from converters.paired import Paired
from converters.reference import Reference
from converters.report import (
    REPORT_VERSION,
    export_key,
    read_report,
    report_bytes,
)
from tests.converters import reports
from tests.converters.reports import one_hot, result, scores

# What the first version wrote, cut to one file.
VERSION_1 = {
    "schema_version": 1,
    "name": "flowers",
    "made_from": {"recipe": 2, "files": {}, "versions": {}},
    "files": [
        {
            "file": "old_int8.tflite",
            "kind": "int8",
            "sha256": hashlib.sha256(b"old").hexdigest(),
            "operators": ["CONV_2D 3"],
            "accuracy_drop": 0.0,
            "accepted": True,
        }
    ],
    "test_scores": [],
}


@pytest.fixture
def reference() -> Reference:
    return Reference(Path("images.npz"), scores(0, 1, 2), one_hot(0, 1, 1))


def made(reference: Reference, folder: Path, kind: str = "int8") -> tuple[Any, dict[str, Any]]:
    path = folder / f"flowers_{kind}.tflite"
    path.write_bytes(b"TFL3")
    file = result(kind, reference, scores(1, 1, 1), path=path)
    return file, reports.report(reference, [file], options=ConvertOptions(max_accuracy_drop=100.0))


def test_content(reference: Reference, tmp_path: Path) -> None:
    _, report = made(reference, tmp_path)
    assert report["schema_version"] == REPORT_VERSION == 2
    assert report["labels"] == list(reports.LABELS)
    assert [row["class_ids"] for row in report["test_scores"]] == [[0], [1], [1]]
    (entry,) = report["files"]
    assert entry["changed"] == {"better": [2], "worse": [0], "other": [], "chance": 0.75}
    assert entry["operators"][0] == {"name": "CONV_2D", "version": 3, "count": 14}
    assert (entry["latency_ms"], entry["latency_one_thread_ms"], entry["peak_memory"]) == (3.25, 5.5, 12_000_000)
    assert json.loads(report_bytes(report)) == report


def test_an_earlier_version_is_not_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text(json.dumps(VERSION_1))
    assert read_report(tmp_path) is None


@pytest.mark.parametrize("changed", [None, {}, {"better": 1}, {"better": ["x"], "worse": [], "other": []}])
def test_a_report_edited_by_hand(reference: Reference, tmp_path: Path, changed: Any) -> None:
    _, report = made(reference, tmp_path)
    report["files"][0]["changed"] = changed
    (tmp_path / "export.json").write_bytes(report_bytes(report))
    assert read_report(tmp_path) is None


def test_lone_surrogates_come_back(tmp_path: Path) -> None:
    assert json.loads(report_bytes({"name": "\udc80花"})) == {"name": "\udc80花"}


def test_the_key_of_any_source() -> None:
    key = export_key({"a.pb": "00"})
    assert key["files"] == {"a.pb": "00"}
    assert "ai-edge-litert" in key["versions"]


@pytest.mark.parametrize(
    ("drop", "paired", "accepted"),
    [
        (None, None, True),
        (2.0, None, True),
        (2.1, None, False),
        (3.5, Paired((), (0, 1), ()), True),  # two of 57 pictures: chance does that in a quarter of all cases
        (8.8, Paired((), tuple(range(5)), ()), False),
        (50.0, Paired((), tuple(range(4)), ()), False),  # four of eight: chance, but the file is of no use
        (33.3, Paired((), (0,), ()), True),  # one of three
        (2.1, Paired(tuple(range(20)), tuple(range(20, 60)), ()), False),
        (3.0, Paired((), (), ()), False),  # a loss without a picture that got worse is none that was measured
    ],
)
def test_a_loss_that_may_be_chance_is_accepted(drop: float | None, paired: Paired | None, accepted: bool) -> None:
    assert is_accepted(drop, ConvertOptions(max_accuracy_drop=2.0), paired) == accepted


def test_what_is_said_of_a_loss_that_may_be_chance(reference: Reference) -> None:
    good = result("float32", reference, reference.scores)
    lossy = result("int8", reference, scores(1, 1, 2))
    assert lossy.accuracy_drop == pytest.approx(100 / 3)
    report = reports.report(reference, [good, lossy])
    assert [entry["accepted"] for entry in report["files"]] == [True, True]
    assert report["notes"] == [
        "flowers_int8.tflite loses 33.3 points, more than the 2 allowed, and is kept: 1 of 3 test pictures got worse "
        "and 0 better, which chance alone gives in 50% of all cases; more test pictures would tell"
    ]
    assert reports.report(reference, [lossy], options=ConvertOptions(max_accuracy_drop=50.0))["notes"] == []
