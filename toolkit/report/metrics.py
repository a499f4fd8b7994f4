"""metrics.json: the figures of a report."""

from __future__ import annotations

import json
import math
from typing import Any

from toolkit.report.content import Chart, Composition, ReportContent

#: Version of the JSON. 2 has the figures of each share under ``evaluations``.
SCHEMA_VERSION = 2


def report_metrics(content: ReportContent) -> dict[str, Any]:
    """The same figures as the report's, for programs; JSON values only."""
    metrics: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": content.title,
        "accuracy": {share: evaluation.accuracy.to_json() for share, evaluation in content.evaluations.items()},
        "evaluations": {share: evaluation.to_json() for share, evaluation in content.evaluations.items()},
        "calibration": {name: value.to_json() for name, value in content.reliability.items()},
        "curves": [_chart(chart) for chart in content.charts],
        "tables": [
            {"title": table.title, "rows": [dict(zip(table.header, row, strict=True)) for row in table.rows]}
            for table in content.tables
        ],
        "facts": dict(content.facts),
        "notes": list(content.notes),
        "command": content.command,
        "versions": dict(content.versions),
    }
    if content.composition is not None:
        metrics["pictures"] = _composition(content.composition)
    return metrics


def metrics_bytes(metrics: dict[str, Any]) -> bytes:
    """UTF-8 JSON; the same figures always give the same bytes."""
    # File names that are not UTF-8 come as lone surrogates, whose backslash form is JSON too.
    return (json.dumps(metrics, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")


def _chart(chart: Chart) -> dict[str, Any]:
    series = [
        {"name": line.name, "x": [float(x) for x in line.x], "y": [_number(y) for y in line.y]} for line in chart.series
    ]
    return {"title": chart.title, "x": chart.x_label, "y": chart.y_label, "series": series}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _composition(composition: Composition) -> dict[str, Any]:
    return {
        "per_class": {
            label: {share: counts[class_id] for share, counts in composition.shares.items()}
            for class_id, label in enumerate(composition.labels)
        },
        "negatives": dict(composition.negatives),
        "skipped": [{"path": str(path), "reason": reason} for path, reason in composition.skipped],
        "duplicates": [[str(path) for path in group] for group in composition.duplicates],
    }
