"""What an export.json must hold to be used again: anybody may have edited it."""

from __future__ import annotations

import math
from typing import Any

from converters.kinds import KINDS, MIXED

_NUMBER, _MAYBE = (int, float), (int, float, type(None))
_ACCURACY = {"accuracy": _MAYBE, "correct": int, "images": int, "interval_95": [_NUMBER]}
_COMPARED = {
    "pictures": int,
    "largest_score_difference": _NUMBER,
    "top1_agreement": _NUMBER,
    "label_agreement": _NUMBER,
    "unknown": int,
    "unknown_changed": int,
    "accuracy": _ACCURACY,
    "accuracy_drop": _MAYBE,
    "changed": {"better": [int], "worse": [int], "other": [int], "chance": _NUMBER},
}
_COSTS = {"latency_ms": _NUMBER, "latency_one_thread_ms": _NUMBER, "peak_memory": _MAYBE, "threads": int}
_RUN = _COMPARED | _COSTS | {"interpreter": str}
_FILE = _RUN | {
    "file": str,
    "kind": str,
    "bytes": int,
    "sha256": str,
    "input": str,
    "output": str,
    "operators": [{"name": str, "version": int, "count": int}],
    "accepted": bool,
    "max_accuracy_drop": _NUMBER,
    "made_with": dict,
}
_FORMAT = {"format": str, "files": [{"file": str, "bytes": int, "sha256": str}], "made_with": dict}
_REPORT = {
    "name": str,
    "task": str,
    "labels": [str],
    "least_scores": [_NUMBER],
    "made_from": dict,
    "max_accuracy_drop": _NUMBER,
    "trained": {"accuracy": _ACCURACY, "unknown": int},
    "files": [_FILE],
    "formats": [_FORMAT],
    "notes": [str],
    "test_scores": [{"sha256": str, "trained": [_NUMBER]}],
}


def is_sound(report: Any) -> bool:
    """Whether all that is read of a report is there, and of the right type."""
    if not _fits(report, _REPORT):
        return False
    kinds = [entry["kind"] for entry in report["files"]]
    if len(set(kinds)) < len(kinds) or not set(kinds) <= {*KINDS, MIXED}:
        return False
    runs = [entry["floor"] for entry in report["files"] if entry.get("floor") is not None]
    proofs = [entry["proof"] | {"bytes": 0} for entry in report["formats"] if isinstance(entry.get("proof"), dict)]
    odd = [e for e in report["formats"] for n in ("proof", "micro") if not isinstance(e.get(n), (dict, type(None)))]
    micros = [entry["micro"] for entry in report["formats"] if entry.get("micro") is not None]
    rows = [row[name] for row in report["test_scores"] for name in row if name in {"trained", *kinds}]
    count = len(report["labels"])
    return (
        not odd
        and all(_fits(run, _RUN) for run in (*runs, *proofs))
        and all(_fits(run, _COMPARED | {"interpreter": str, "images": int}) for run in micros)
        and all(_fits(row, [_NUMBER]) and len(row) == count for row in rows)
    )


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value is of a type, or one of several; a list of such; or has such attributes."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(name in value and _fits(value[name], of) for name, of in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, shape) and (shape is bool or not isinstance(value, bool))
