"""What of an earlier conversion still holds, and what is to be made anew."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.digests import digest_of
from converters.gate import remarks_in
from converters.kinds import CALIBRATED, KINDS, MIXED, OF_INT8
from converters.loss import Loss
from converters.options import ConvertOptions
from converters.report import read_report

#: The format whose files are the plots of ``--explain``.
LAYERS = "layers"
# What export.json says of the ways to int8 that were tried.
_INT8 = ("int8_attempts", "int8_choice", "int8_stand_in", "int8_made_with")
_ORDER = [*KINDS, MIXED]


@dataclass(frozen=True)
class Standing:
    """What of an earlier conversion of the same model still holds.

    Attributes:
        report: export.json of it; None where there is none, or it is of another model.
        kinds: of those asked for now the ones that are to be made.
        formats: the same of other formats.
    """

    report: dict[str, Any] | None
    kinds: tuple[str, ...]
    formats: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all that is asked for is there."""
        return self.report is not None and not self.kinds and not self.formats


def standing(target: Path, key: dict[str, Any], options: ConvertOptions) -> Standing:
    """Look at what lies in a folder.

    Args:
        target: the folder.
        key: ``export_key`` of the model as it is now.
        options: of the conversion that is asked for.
    """
    report = _report_of(target, key)
    if report is None:
        return Standing(None, options.kinds, options.formats)
    if options.force:
        return Standing(report, options.kinds, options.formats)
    formats = tuple(name for name in options.formats if not _format_holds(target, report, name, options))
    kinds = tuple(kind for kind in options.kinds if not _holds(target, report, kind, options))
    if _is_int8_missing(report, formats, options) and "int8" in options.kinds and "int8" not in kinds:
        kinds = tuple(kind for kind in options.kinds if kind in (*kinds, "int8"))
    if "int8" in kinds:  # these hold its bytes
        formats = tuple(name for name in options.formats if name in formats or name in OF_INT8)
    return Standing(report, kinds, formats)


def _report_of(target: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """export.json of a folder; None where there is none, or it is of another model."""
    report = read_report(target)
    return report if report is not None and report["made_from"] == key else None


def up_to_date(target: Path, key: dict[str, Any], options: ConvertOptions) -> dict[str, Any] | None:
    """The report of an earlier conversion that gave all that is asked for now, with its files unchanged."""
    found = standing(target, key, options)
    return as_asked(found, target, options) if found.is_whole else None


def _is_int8_missing(report: dict[str, Any], formats: tuple[str, ...], options: ConvertOptions) -> bool:
    """Whether int8 is needed anew although something stands for it."""
    another = report.get("int8_stand_in") not in (None, "int8")
    # The float network that another way started from is not kept, and layers are compared with it.
    return (another and bool(OF_INT8 & set(formats))) or (options.explain and bool(report.get("int8_attempts")))


def _holds(target: Path, report: dict[str, Any], wanted: str, options: ConvertOptions) -> bool:
    """Whether a kind need not be made."""
    kind = (report.get("int8_stand_in") or wanted) if wanted == "int8" else wanted
    entry = next((entry for entry in report["files"] if entry["kind"] == kind), None)
    if entry is None or not entry["accepted"] or not _is_intact(target, entry):
        return False
    if entry["made_with"] != options.made_with(kind):
        return False
    if kind != wanted and report.get("int8_made_with") != options.made_with(wanted):
        return False  # with --qat int8 itself may do now
    loss, limit, before = Loss.from_json(entry), options.max_accuracy_drop, entry["max_accuracy_drop"]
    if wanted != "int8":
        return loss.is_accepted(limit)
    if kind != wanted and limit > before:
        return False  # int8 itself may do now
    return loss.is_within(limit) or (limit == before and loss.is_accepted(limit))


def _format_holds(target: Path, report: dict[str, Any], name: str, options: ConvertOptions) -> bool:
    entry = next((entry for entry in report["formats"] if entry["format"] == name), None)
    if entry is None or entry["made_with"] != options.made_with(name) or not _is_whole(target, entry):
        return False
    proofs = (run for run in (entry.get("proof"), entry.get("micro")) if run is not None)
    return all(Loss.from_json(run).is_accepted(options.max_accuracy_drop) for run in proofs)


def as_asked(found: Standing, target: Path, options: ConvertOptions) -> dict[str, Any]:
    """The report of what is there, held to the limit that is asked for now."""
    report = found.report or {}
    files = [
        _held_to(entry, report, options)
        for entry in report["files"]
        if entry["kind"] in options.kinds or (entry["accepted"] and _is_intact(target, entry))
    ]
    formats = [entry for entry in report["formats"] if _is_whole(target, entry)]
    changed = {"files": files, "formats": formats, "max_accuracy_drop": options.max_accuracy_drop}
    return report | changed | {"notes": notes_on(files)}


def _held_to(entry: dict[str, Any], report: dict[str, Any], options: ConvertOptions) -> dict[str, Any]:
    """A file of an earlier report, with the limit of now where it is asked for now."""
    stands_in = report.get("int8_stand_in") if "int8" in options.kinds else None
    is_asked = entry["kind"] in {*options.kinds, stands_in}
    return entry | ({"max_accuracy_drop": options.max_accuracy_drop} if is_asked else {})


def carry_over(report: dict[str, Any], found: Standing, target: Path, options: ConvertOptions) -> dict[str, Any]:
    """Add files and formats that were not made now but lie there, made from the same model and accepted.

    Args:
        report: of what was made now.
        found: what was there before, and so what was made.
        target: the folder.
        options: of the conversion.
    """
    earlier = _report_of(target, report["made_from"])  # another conversion may have ended since ``found``
    if earlier is None:
        return report
    made = {*(entry["kind"] for entry in report["files"]), *found.kinds}
    if "int8" in made:
        made.add(MIXED)
    kept = [e for e in earlier["files"] if e["kind"] not in made and e["accepted"] and _is_intact(target, e)]
    old = {row["sha256"]: row for row in earlier.get("test_scores", ())}
    scores = [
        row | {e["kind"]: old[row["sha256"]][e["kind"]] for e in kept if e["kind"] in old.get(row["sha256"], {})}
        for row in report["test_scores"]
    ]
    kept = [_held_to(entry, earlier, options) for entry in kept]
    files = sorted(report["files"] + kept, key=lambda entry: _ORDER.index(entry["kind"]))
    told = {name: earlier[name] for name in _INT8 if name in earlier and "int8" not in made}
    changed = {"files": files, "formats": _formats(report, earlier, found, target), "test_scores": scores}
    return told | report | changed | {"notes": notes_on(files)}


def _formats(report: dict[str, Any], earlier: dict[str, Any], found: Standing, target: Path) -> list[dict[str, Any]]:
    """Those made now, and the earlier ones that hold."""
    fresh = {entry["format"]: entry for entry in report["formats"]}
    kept = []
    for entry in earlier["formats"]:
        name = entry["format"]
        if name == LAYERS and {"int8", *CALIBRATED} & set(found.kinds):
            continue  # plots of files that are no more
        if name == LAYERS and name in fresh:
            drawn = {part["file"] for part in fresh[name]["files"]}
            others = [part for part in entry["files"] if part["file"] not in drawn and _is_whole_part(target, part)]
            fresh[name] = fresh[name] | {"files": fresh[name]["files"] + others}
        elif name not in fresh and name not in found.formats and _is_whole(target, entry):
            kept.append(entry)
    return [*fresh.values(), *kept]


def notes_on(files: list[dict[str, Any]]) -> list[str]:
    """What a user should know of the files that passed."""
    return [note for e in files if e["accepted"] for note in remarks_in(e["file"], e, e["max_accuracy_drop"])]


def _is_whole(target: Path, entry: dict[str, Any]) -> bool:
    """Whether the files of another format lie there as they were written."""
    return all(_is_whole_part(target, part) for part in entry["files"])


def _is_whole_part(target: Path, part: dict[str, Any]) -> bool:
    path = target / part["file"]
    return path.exists() and bool(digest_of(path) == part["sha256"])


def _is_intact(target: Path, entry: dict[str, Any]) -> bool:
    path = target / entry["file"]
    return path.is_file() and bool(hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"])
