"""What ``runtime benchmark`` measured, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from runtime.answers import STAGES
from runtime.benchmark import BenchmarkReport, Measurements, ModelReport, Spread
from runtime.file_kind import shown


def benchmark_json(report: BenchmarkReport) -> str:
    """One JSON object; times in milliseconds, memory in bytes."""
    content: dict[str, Any] = {
        "schema_version": 1,
        "device": report.device,
        "pictures": report.pictures,
        "model": _model_values(report.model),
    }
    if report.baseline is not None:
        content["baseline"] = _model_values(report.baseline)
        content["times_as_fast"] = {
            key: round(value, 3) for key, value in _ratios(report.model, report.baseline).items()
        }
    return json.dumps(content, ensure_ascii=False, indent=1)


def _model_values(report: ModelReport) -> dict[str, Any]:
    return {
        "path": str(report.file.path),
        "bytes": report.file.size,
        "best_threads": report.best.threads,
        "threads": [_measured_values(measured) for measured in report.measured],
    }


def _measured_values(measured: Measurements) -> dict[str, Any]:
    spreads = {name: Spread.of(times) for name, times in _rows(measured)}
    return {
        "threads": measured.threads,
        "runs": len(measured.in_all),
        "load": round(min(measured.load), 3),
        "first_answer": round(min(measured.first), 3),
        "loaded_bytes": measured.loaded_bytes,
        "peak_bytes": measured.peak_bytes,
        "milliseconds": {
            name: {key: round(value, 3) for key, value in vars(spread).items()} for name, spread in spreads.items()
        },
    }


def _rows(measured: Measurements) -> list[tuple[str, list[float]]]:
    return [*((name, measured.stages[name]) for name in STAGES), ("in_all", measured.in_all)]


def _ratios(model: ModelReport, baseline: ModelReport) -> dict[str, float]:
    """How many times as fast as the baseline, by the medians of the best numbers of threads."""
    pairs = zip(_rows(model.best), _rows(baseline.best), strict=True)
    return {name: Spread.of(theirs).median / max(Spread.of(ours).median, 1e-6) for (name, ours), (_, theirs) in pairs}


def benchmark_text(report: BenchmarkReport) -> str:
    """The same for people: two tables a model, and one line about the two."""
    device = report.device
    where = f"{device['board']}, " if device["board"] else ""
    lines = [
        f"{where}{device['machine']}, {device['processors']} processors; {device['interpreter']}, "
        f"numpy {device['numpy']}, Python {device['python']}",
        f"{report.pictures}; {len(report.model.best.in_all)} answers for each number of threads",
        "times in milliseconds; memory, in MB, is what the model adds to the process",
    ]
    for part in (report.model, report.baseline):
        if part is not None:
            lines += ["", *_model_lines(part)]
    if report.baseline is not None:
        ratios = _ratios(report.model, report.baseline)
        name, other = shown(report.model.file.path.name), shown(report.baseline.file.path.name)
        lines += [
            "",
            f"{name} is {ratios['invoke']:.2f} times as fast as {other} in the forward pass, "
            f"{ratios['in_all']:.2f} times in all",
        ]
    return "\n".join(lines)


def _model_lines(report: ModelReport) -> list[str]:
    file, best = report.file, report.best
    height, width = file.inputs[0].shape[1:3]
    lines = [f"{shown(file.path)}: {file.size / 1e6:.2f} MB, {file.inputs[0].dtype} input {width} x {height}"]
    rows = [["threads", "load", "first answer", "invoke: mean", "median", "p90", "p99", "loaded", "peak"]]
    for measured in report.measured:
        rows.append(
            [
                str(measured.threads),
                _ms(min(measured.load)),
                _ms(min(measured.first)),
                *_spread(measured.stages["invoke"]),
                _mb(measured.loaded_bytes),
                _mb(measured.peak_bytes),
            ]
        )
    lines += _table(rows)
    rows = [[f"{best.threads} thread{'s' * (best.threads > 1)}", "mean", "median", "p90", "p99"]]
    rows += [[name.replace("_", " "), *_spread(times)] for name, times in _rows(best)]
    lines += ["", *_table(rows)]
    return [*lines, f"{1000 / Spread.of(best.in_all).median:.1f} pictures a second, one after the other"]


def _spread(times: Sequence[float]) -> list[str]:
    return [_ms(value) for value in vars(Spread.of(times)).values()]


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _mb(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.1f}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
