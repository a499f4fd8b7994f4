"""Figures of exported files as a table for the terminal: a row for each interpreter that ran a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.file_kind import shown
from toolkit.tables import render_table


def run_table(runs: Sequence[dict[str, Any]], compared: bool) -> str:
    """A file's runs.

    Args:
        runs: as ``converters.verify.Run.to_json`` gives them.
        compared: whether there was a trained model to compare with.
    """
    threads = runs[0]["threads"] if runs else 1
    header = ["on", "accuracy", "95 % interval", "drop", "better/worse", "agreement", "score diff"]
    header += [f"{threads} threads", "1 thread", "memory"]
    rows = [[shown(run["interpreter"]), *figures(run, compared), *costs(run)] for run in runs]
    return render_table(header, rows)


def figures(run: dict[str, Any], compared: bool = True) -> list[str]:
    """Accuracy, interval, drop, better/worse, agreement and score difference of a run."""
    changed, drop = run["changed"], run["accuracy_drop"]
    measured = bool(run["accuracy"]["images"])
    return [
        *accuracy_cells(run["accuracy"]),
        f"{drop:.1f} points" if compared and drop is not None else "",
        f"{len(changed['better'])}/{len(changed['worse'])}" if compared and measured else "",
        f"{run['top1_agreement']:.1%}" if compared else "",
        f"{run['largest_score_difference']:.2g}" if compared else "",
    ]


def accuracy_cells(accuracy: dict[str, Any], nothing: str = "-") -> list[str]:
    """An accuracy and its interval; ``nothing`` where there were no test pictures."""
    if not accuracy["images"]:
        return [nothing, ""]
    low, high = accuracy["interval_95"]
    return [f"{accuracy['accuracy']:.1%} (N={accuracy['images']})", f"{low:.1%} - {high:.1%}"]


def costs(run: dict[str, Any]) -> list[str]:
    """Latency with all threads and with one, and peak memory of a run."""
    memory = run["peak_memory"]
    return [
        f"{run['latency_ms']:.1f} ms",
        f"{run['latency_one_thread_ms']:.1f} ms",
        "-" if memory is None else f"{memory / 1e6:.0f} MB",
    ]
