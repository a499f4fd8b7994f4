"""export.json: what a conversion gave, from what, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters.bundle import REPORT_FILE, TestPictures
from converters.options import ConvertOptions
from converters.verify import ExportResult, Reference
from runtime.spec import ModelSpec
from runtime.versions import package_version

_REPORT_VERSION = 1
# Change it when the same bundle and options would give other files, or figures that an older report has not.
_RECIPE = 3
# What each entry of a report must say to be used again.
_NEEDED = {"kind", "sha256", "accuracy_drop", "accepted", "made_with"}
_PACKAGES = ("edge-export-toolkit", "tensorflow", "tensorflow-cpu", "ai-edge-litert", "tflite-runtime")


def export_key(digests: Mapping[str, str]) -> dict[str, Any]:
    """What the files and their check depend on beside the options.

    Args:
        digests: of the model's files: name -> hex sha256.
    """
    versions = {package: found for package in _PACKAGES if (found := package_version(package)) is not None}
    return {"recipe": _RECIPE, "files": dict(digests), "versions": versions}


def make_report(
    spec: ModelSpec,
    key: dict[str, Any],
    options: ConvertOptions,
    reference: Reference,
    pictures: TestPictures,
    results: list[ExportResult],
) -> dict[str, Any]:
    """The content of export.json."""
    names = ["trained", *(result.kind for result in results)]
    arrays = [reference.scores, *(result.scores for result in results)]
    return {
        "schema_version": _REPORT_VERSION,
        "name": spec.name,
        "backbone": spec.backbone,
        "made_from": key,
        "max_accuracy_drop": options.max_accuracy_drop,
        "check_pictures": len(reference.scores),
        "trained": {"accuracy": reference.accuracy.to_json(), "unknown": reference.unknown},
        "files": [
            result.to_json()
            | {"accepted": is_accepted(result.accuracy_drop, options), "made_with": options.made_with(result.kind)}
            for result in results
        ],
        "test_scores": [
            {"sha256": digest}
            | {name: [round(float(s), 6) for s in array[row]] for name, array in zip(names, arrays, strict=True)}
            for row, digest in enumerate(pictures.digests)
        ],
    }


def is_accepted(drop: float | None, options: ConvertOptions) -> bool:
    """Whether a loss in points may be; None means that there was nothing to measure it with."""
    return drop is None or drop <= options.max_accuracy_drop + 1e-9  # 2.0 as a difference of shares may be a hair more


def hand_over(results: list[ExportResult], report: dict[str, Any], target: Path) -> list[str]:
    """Move accepted files into place, one atomic step each, the report last; drop stale ones.

    Returns:
        Names of the stale files that were dropped.

    Raises:
        OSError: the folder cannot be written.
    """
    accepted = {entry["file"] for entry in report["files"] if entry["accepted"]}
    # Written before anything is taken away: a full disk is found out here.
    temporary = target / f".{REPORT_FILE}"
    try:
        temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        stale = sorted(name for name in _files_of(target) - accepted if (target / name).exists())
        for name in stale:
            (target / name).unlink(missing_ok=True)
        (target / REPORT_FILE).unlink(missing_ok=True)
        for result in results:
            if result.path.name in accepted:
                result.path.replace(target / result.path.name)
        temporary.replace(target / REPORT_FILE)
        return stale
    finally:
        temporary.unlink(missing_ok=True)


def up_to_date(target: Path, key: dict[str, Any], options: ConvertOptions) -> dict[str, Any] | None:
    """The report of an earlier conversion that gave all that is asked for now, with its files unchanged."""
    report = _read_report(target)
    if report is None or report["made_from"] != key:
        return None
    entries = {entry["kind"]: entry for entry in report["files"]}
    for kind in options.kinds:
        entry = entries.get(kind)
        if entry is None or not is_accepted(entry["accuracy_drop"], options) or not _is_intact(target, entry):
            return None
        if entry["made_with"] != options.made_with(kind):
            return None
    wanted = [
        entry
        for entry in report["files"]
        if entry["kind"] in options.kinds or (entry["accepted"] and _is_intact(target, entry))
    ]
    return report | {"files": wanted}


def carry_over(report: dict[str, Any], target: Path, options: ConvertOptions) -> dict[str, Any]:
    """Add files of kinds that were not asked for now but lie there, made from the same bundle and accepted."""
    earlier = _read_report(target)
    if earlier is None or earlier["made_from"] != report["made_from"]:
        return report
    kept = [
        entry
        for entry in earlier["files"]
        if entry["kind"] not in options.kinds and entry["accepted"] and _is_intact(target, entry)
    ]
    old = {row["sha256"]: row for row in earlier.get("test_scores", ())}
    scores = [
        row | {e["kind"]: old[row["sha256"]][e["kind"]] for e in kept if e["kind"] in old.get(row["sha256"], {})}
        for row in report["test_scores"]
    ]
    return report | {"files": report["files"] + kept, "test_scores": scores}


def _is_intact(target: Path, entry: dict[str, Any]) -> bool:
    path = target / entry["file"]
    return path.is_file() and bool(_sha256(path) == entry["sha256"])


def _read_report(target: Path) -> dict[str, Any] | None:
    """The report in a folder; None where there is none that this version wrote."""
    try:
        report: dict[str, Any] = json.loads((target / REPORT_FILE).read_bytes())
        good = report["schema_version"] == _REPORT_VERSION and "made_from" in report
        # A name only: what stands in it is removed and read.
        plain = all(Path(entry["file"]).name == entry["file"] for entry in report["files"])
        whole = all(entry.keys() >= _NEEDED for entry in report["files"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no file, no JSON, edited by hand
        return None
    return report if good and plain and whole else None


def _files_of(target: Path) -> set[str]:
    """Names of the files that an earlier conversion put there."""
    report = _read_report(target)
    return set() if report is None else {entry["file"] for entry in report["files"]}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
