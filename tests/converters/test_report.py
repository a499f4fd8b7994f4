from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.comparison import Comparison, compare
from converters.gate import refusal, remarks
from converters.loss import Loss
from converters.options import ConvertOptions
from converters.paired import Paired
from converters.reference import Reference
from converters.report import (
    REPORT_VERSION,
    export_key,
    files_of,
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


def edit(report: dict[str, Any], where: str, value: Any) -> None:
    *path, last = (int(part) if part.isdigit() else part for part in where.split("/"))
    for part in path:
        report = report[part]
    report[last] = value


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("files/0/changed", None),
        ("files/0/changed", {}),
        ("files/0/changed", {"better": 1}),
        ("files/0/changed", {"better": ["x"], "worse": [], "other": []}),
        ("files/0", "x"),
        ("files", {}),
        ("files/0/file", 5),
        ("files/0/file", "../model.keras"),
        ("files/0/kind", "int4"),
        ("files/0/sha256", None),
        ("files/0/max_accuracy_drop", "2"),
        ("files/0/accuracy_drop", float("nan")),
        ("files/0/operators", ["CONV_2D 3"]),
        ("files/0/floor", 1),
        ("formats", None),
        ("formats", [{"format": "pb", "files": [{"file": "x.pb"}], "made_with": {}}]),
        ("max_accuracy_drop", None),
        ("trained/accuracy", []),
        ("test_scores/0", []),
        ("test_scores/0/int8", [0.5]),
        ("test_scores/0/int8", "abc"),
        ("schema_version", [2]),
        ("labels", "daisy"),
    ],
)
def test_a_report_edited_by_hand(reference: Reference, tmp_path: Path, where: str, value: Any) -> None:
    _, report = made(reference, tmp_path)
    (tmp_path / "export.json").write_bytes(report_bytes(report))
    assert read_report(tmp_path) == report
    edit(report, where, value)
    (tmp_path / "export.json").write_bytes(report_bytes(report))
    assert read_report(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 2}'])
def test_no_report_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "export.json").write_bytes(content)
    assert read_report(tmp_path) is None
    assert files_of(tmp_path) == {}


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
    chance = paired is not None and drop is not None and paired.excuses(drop)
    assert Loss(drop, chance).is_accepted(2.0) == accepted


def test_what_is_said_of_a_loss_that_may_be_chance(reference: Reference) -> None:
    good = result("float32", reference, reference.scores)
    lossy = result("int8", reference, scores(1, 1, 2))
    assert lossy.accuracy_drop == pytest.approx(100 / 3)
    report = reports.report(reference, [good, lossy])
    assert [entry["accepted"] for entry in report["files"]] == [True, True]
    chance = (
        "flowers_int8.tflite loses 33.3 points, more than the 2 allowed, and is kept: 1 of 3 test pictures got worse "
        "and 0 better, which chance alone gives in 50% of all cases; more test pictures would tell"
    )
    answers = (
        "flowers_int8.tflite gives the model's own answer to 67% of the pictures only: try it on pictures that you know"
    )
    assert report["notes"] == [chance, answers], "all that there is to know"
    allowed = reports.report(reference, [lossy], options=ConvertOptions(max_accuracy_drop=50.0))
    assert allowed["notes"] == [answers]


def test_a_collapse_is_refused_whatever_the_accuracy() -> None:
    """A model that guesses, and a file that guesses otherwise: they are right as often."""
    trained = [row % 3 for row in range(60)]
    own = [(answer + (row % 4 > 0)) % 3 for row, answer in enumerate(trained)]
    truth = [row // 20 for row in range(60)]
    reference = Reference(Path("images.npz"), scores(*trained), one_hot(*truth))
    file = result("int8", reference, scores(*own))
    assert file.top1_agreement == 0.25
    assert abs(file.accuracy_drop or 0.0) <= 2
    said = refusal("x", file, 2.0)
    assert said is not None
    assert said.startswith("x gives the model's own answer to 25% of 60 pictures only: it has collapsed, whatever its ")
    assert refusal("x", file, 80.0) is None, "who allows the loss of 80 points"
    assert len(remarks("x", file, 80.0)) == 1
    entry = reports.report(reference, [file])["files"][0]
    assert not entry["accepted"]
    assert Loss.from_json(entry) == Loss.of(file)


def test_many_labels_are_not_held_to_every_one_of_them() -> None:
    """One label of forty wrong in most pictures is no collapse; other labels throughout are."""
    rng = np.random.default_rng(0)
    trained = (rng.random((50, 40)) < 0.3).astype(np.float32)
    reference = Reference(Path("none"), trained, trained > 0.5, "multi-label", (0.5,) * 40)
    slightly = trained.copy()
    slightly[np.arange(40), np.arange(40)] = 1 - slightly[np.arange(40), np.arange(40)]
    compared = Comparison(**compare("x", slightly, reference))
    assert compared.top1_agreement == 0.2
    assert compared.label_agreement > 0.9
    assert not Loss.of(compared).has_collapsed(2.0)
    assert Loss.of(Comparison(**compare("x", np.roll(trained, 1, axis=1), reference))).has_collapsed(2.0)
