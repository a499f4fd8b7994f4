"""export.json: what a conversion gave, from what, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from converters.bundle import REPORT_FILE, TestPictures
from converters.digests import digest_of
from converters.gate import chance_note, is_accepted
from converters.kinds import MIXED
from converters.options import ConvertOptions
from converters.paired import Paired
from converters.reference import Reference
from converters.verify import ExportResult
from runtime.spec import ModelSpec
from runtime.versions import package_version

#: 1 had no labels, one latency, and operators as texts.
REPORT_VERSION = 2
# Change it when the same bundle and options would give other files, or figures that an older report has not.
_RECIPE = 4
# What each entry of a report must say to be used again.
_NEEDED = {"kind", "sha256", "accuracy_drop", "changed", "accepted", "made_with"}
_PACKAGES = ("edge-export-toolkit", "tensorflow", "tensorflow-cpu", "ai-edge-litert", "tflite-runtime")


class Described(Protocol):
    """Anything that says what model it is: a bundle, or another source."""

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""


def export_key(digests: Mapping[str, str]) -> dict[str, Any]:
    """What the files and their check depend on beside the options.

    Args:
        digests: of the model's files: name -> hex sha256.
    """
    versions = {package: found for package in _PACKAGES if (found := package_version(package)) is not None}
    return {"recipe": _RECIPE, "files": dict(digests), "versions": versions}


def make_report(
    source: Described,
    key: dict[str, Any],
    options: ConvertOptions,
    reference: Reference,
    pictures: TestPictures,
    results: list[ExportResult],
) -> dict[str, Any]:
    """The content of export.json.

    Args:
        source: what was converted.
        key: ``export_key``.
        options: of the conversion.
        reference: what the files were compared with.
        pictures: that they were compared on.
        results: the files, each kind once.
    """
    names = ["trained", *(result.kind for result in results)]
    arrays = [reference.scores, *(result.scores for result in results)]
    return {
        "schema_version": REPORT_VERSION,
        "name": source.spec.name,
        "backbone": source.spec.backbone,
        "task": source.spec.task,
        "labels": list(source.spec.labels),
        "least_scores": list(reference.least_scores),
        "made_from": key,
        "max_accuracy_drop": options.max_accuracy_drop,
        "check_pictures": len(reference.scores),
        "trained": {"accuracy": reference.accuracy.to_json(), "unknown": reference.unknown},
        "files": [
            result.to_json()
            | {
                "accepted": is_accepted(result.accuracy_drop, options, result.paired),
                "made_with": options.made_with(result.kind),
            }
            for result in results
        ],
        "formats": [],
        "notes": [note for result in results if (note := chance_note(result.path.name, result, options))],
        "test_scores": [
            {"sha256": digest}
            | ({"class_ids": pictures.truth[row].nonzero()[0].tolist()} if row < len(pictures.truth) else {})
            | {name: [round(float(s), 6) for s in array[row]] for name, array in zip(names, arrays, strict=True)}
            for row, digest in enumerate(pictures.digests)
        ],
    }


def report_bytes(report: dict[str, Any]) -> bytes:
    """export.json as it is written; lone surrogates, which UTF-8 has not, come as JSON's escapes."""
    return (json.dumps(report, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def up_to_date(target: Path, key: dict[str, Any], options: ConvertOptions) -> dict[str, Any] | None:
    """The report of an earlier conversion that gave all that is asked for now, with its files unchanged."""
    report = read_report(target)
    if report is None or report["made_from"] != key:
        return None
    entries = {entry["kind"]: entry for entry in report["files"]}
    for wanted_kind in options.kinds:
        kind = _stand_in(report, wanted_kind, options)
        entry = entries.get(kind)
        if entry is None or not _is_accepted(entry, options) or not _is_intact(target, entry):
            return None
        if entry["made_with"] != options.made_with(kind):
            return None
    formats = {entry["format"]: entry for entry in report["formats"]}
    for name in options.formats:
        if name not in formats or formats[name]["made_with"] != options.made_with(name):
            return None
        if not _is_whole(target, formats[name]) or not _is_proved(formats[name], options):
            return None
    wanted = [
        entry
        for entry in report["files"]
        if entry["kind"] in options.kinds or (entry["accepted"] and _is_intact(target, entry))
    ]
    return report | {"files": wanted, "formats": [e for e in report["formats"] if _is_whole(target, e)]}


def carry_over(report: dict[str, Any], target: Path, options: ConvertOptions) -> dict[str, Any]:
    """Add files of kinds that were not asked for now but lie there, made from the same bundle and accepted."""
    earlier = read_report(target)
    if earlier is None or earlier["made_from"] != report["made_from"]:
        return report
    made = {entry["kind"] for entry in report["files"]}
    kept = [
        entry
        for entry in earlier["files"]
        if entry["kind"] not in options.kinds
        and entry["kind"] not in made
        and not (entry["kind"] == MIXED and "int8" in options.kinds)
        and entry["accepted"]
        and _is_intact(target, entry)
    ]
    old = {row["sha256"]: row for row in earlier.get("test_scores", ())}
    scores = [
        row | {e["kind"]: old[row["sha256"]][e["kind"]] for e in kept if e["kind"] in old.get(row["sha256"], {})}
        for row in report["test_scores"]
    ]
    fresh = {entry["format"] for entry in report["formats"]} | set(options.formats)
    formats = [e for e in earlier["formats"] if e["format"] not in fresh and _is_whole(target, e)]
    return report | {
        "files": report["files"] + kept,
        "formats": report["formats"] + formats,
        "test_scores": scores,
    }


def read_report(target: Path) -> dict[str, Any] | None:
    """The report in a folder; None where there is none that this version wrote."""
    report = _any_report(target)
    if report is None or report["schema_version"] != REPORT_VERSION or "made_from" not in report:
        return None
    try:
        for entry in report["files"]:
            Paired.from_json(entry["changed"])
            if not entry.keys() >= _NEEDED:
                return None
        if not all(entry.keys() >= {"format", "files", "made_with"} for entry in report["formats"]):
            return None
        for run in (run for entry in report["formats"] for run in _proofs(entry)):
            Paired.from_json(run["changed"])
            if "accuracy_drop" not in run:
                return None
        if not isinstance(report["test_scores"], list) or not report["trained"].keys() >= {"accuracy", "unknown"}:
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return report


def _stand_in(report: dict[str, Any], kind: str, options: ConvertOptions) -> str:
    """The kind that was taken in the place of one that lost too much under the same limit."""
    if kind == "int8" and report["max_accuracy_drop"] == options.max_accuracy_drop:
        return report.get("int8_stand_in") or kind
    return kind


def _is_accepted(entry: dict[str, Any], options: ConvertOptions) -> bool:
    return is_accepted(entry["accuracy_drop"], options, Paired.from_json(entry["changed"]))


def _is_proved(entry: dict[str, Any], options: ConvertOptions) -> bool:
    """Whether another format loses no more than it may now, where it is held to that."""
    return all(_is_accepted(run, options) for run in _proofs(entry))


def _proofs(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for run in (entry.get("proof"), entry.get("micro")) if run is not None]


def _is_whole(target: Path, entry: dict[str, Any]) -> bool:
    """Whether the files of another format lie there as they were written."""
    parts = [(target / part["file"], part["sha256"]) for part in entry["files"]]
    return all(path.exists() and digest_of(path) == digest for path, digest in parts)


def _is_intact(target: Path, entry: dict[str, Any]) -> bool:
    path = target / entry["file"]
    return path.is_file() and bool(_sha256(path) == entry["sha256"])


def _any_report(target: Path) -> dict[str, Any] | None:
    """The report that this or an earlier version wrote."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # no file, no JSON, edited by hand
        report: dict[str, Any] = json.loads((target / REPORT_FILE).read_bytes())
        known = report["schema_version"] in range(1, REPORT_VERSION + 1)
        # A name only: what stands in it is removed and read.
        if known and all(_is_plain(part["file"]) for part in _all_files(report)):
            return report
    return None


def files_of(target: Path) -> dict[str, str]:
    """Names and digests of the files and folders that an earlier conversion put there."""
    report = _any_report(target)
    return {} if report is None else {part["file"]: part["sha256"] for part in _all_files(report)}


def _is_plain(name: str) -> bool:
    """Whether a name leads into no other folder: what stands in a report is read and removed."""
    return Path(name).name == name and name not in {"", ".", ".."}


def _all_files(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of all files, those of other formats too."""
    return [*report["files"], *(part for entry in report.get("formats", ()) for part in entry["files"])]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
