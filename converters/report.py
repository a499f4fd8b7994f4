"""export.json: what a conversion gave, from what, and whether it still holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from converters.bundle import REPORT_FILE, TestPictures
from converters.gate import remarks
from converters.loss import Loss
from converters.options import ConvertOptions
from converters.reference import Reference
from converters.report_shape import is_sound
from converters.verify import ExportResult
from runtime.spec import ModelSpec
from runtime.versions import package_version

#: 1 had no labels, one latency, and operators as texts.
REPORT_VERSION = 2
# Change it when the same bundle and options would give other files, or figures that an older report has not.
_RECIPE = 5
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
                "accepted": Loss.of(result).is_accepted(options.max_accuracy_drop),
                "max_accuracy_drop": options.max_accuracy_drop,
                "made_with": options.made_with(result.kind),
            }
            for result in results
        ],
        "formats": [],
        "notes": [note for r in results for note in remarks(r.path.name, r, options.max_accuracy_drop)],
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


def read_report(target: Path) -> dict[str, Any] | None:
    """The report in a folder; None where there is none that this version wrote."""
    report = _any_report(target)
    return report if report is not None and report["schema_version"] == REPORT_VERSION and is_sound(report) else None


def _any_report(target: Path) -> dict[str, Any] | None:
    """The report that this or an earlier version wrote."""
    # No file, no JSON, edited by hand.
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
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
