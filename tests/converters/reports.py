"""A report as a conversion gives it, made without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from converters.bundle import TestPictures
from converters.options import ConvertOptions
from converters.reference import Reference
from converters.report import export_key, make_report
from converters.verify import ExportResult
from runtime.model_file import OperatorUse
from runtime.spec import LabelList, ModelSpec, Preprocessing, Task

LABELS = ("daisy", "<script>alert(1)</script>", 'tulip & "rose"\n')
SIZE = 8


class Described:
    """What ``make_report`` needs of a bundle."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec


def spec(task: Task = "single-label", unknown_below: float = 0.0) -> ModelSpec:
    pixels = Preprocessing(height=SIZE, width=SIZE)
    return ModelSpec("my <b>flowers</b>", "small", task, pixels, LabelList(LABELS), unknown_below=unknown_below)


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def one_hot(*classes: int) -> NDArray[np.bool_]:
    return np.eye(len(LABELS), dtype=np.bool_)[list(classes)]


def scores(*classes: int, best: float = 0.8) -> NDArray[np.float32]:
    """Rows whose best class is the given one."""
    rows = np.full((len(classes), len(LABELS)), (1 - best) / (len(LABELS) - 1), np.float32)
    rows[np.arange(len(classes)), list(classes)] = best
    return rows


def judged(classes: list[int]) -> Reference:
    """A trained model that has all pictures right."""
    answered = scores(*classes)
    return Reference(Path("none.npz"), answered, one_hot(*classes), least_scores=(0.0,) * len(LABELS))


def result(kind: str, reference: Reference, answered: NDArray[np.float32], **changes: Any) -> ExportResult:
    accuracy: Accuracy = reference.accuracy_of(answered)
    same = (reference.answers(answered) == reference.answers(reference.scores)).all(axis=1)
    values: dict[str, Any] = {
        "interpreter": "ai-edge-litert 2.3.0",
        "threads": 2,
        "latency_ms": 3.25,
        "latency_one_thread_ms": 5.5,
        "peak_memory": 12_000_000,
        "largest_score_difference": float(np.abs(answered - reference.scores).max()),
        "top1_agreement": float(same.mean()),
        "label_agreement": float(same.mean()),
        "unknown": 0,
        "unknown_changed": 0,
        "accuracy": accuracy,
        "accuracy_drop": (reference.accuracy.value - accuracy.value) * 100 if accuracy.images else None,
        "paired": reference.paired_with(answered),
        "scores": answered,
        "path": Path(f"flowers_{kind}.tflite"),
        "kind": kind,
        "size": 3_500_000,
        "sha256": "ab" * 32,
        "input": "uint8",
        "output": "uint8",
        "uses": (OperatorUse("CONV_2D", 3, 14), OperatorUse("SOFTMAX", 2, 1)),
        "needs_runtime": "1.14.0",
        "floor": None,
    }
    return ExportResult(**values | changes)


def report(
    reference: Reference,
    results: list[ExportResult],
    described: ModelSpec | None = None,
    options: ConvertOptions | None = None,
) -> dict[str, Any]:
    digests = tuple(f"{row:064x}" for row in range(len(reference.scores)))
    checked = TestPictures(pictures(len(digests)), reference.truth, digests)
    key = export_key({"model.keras": "cd" * 32})
    return make_report(Described(described or spec()), key, options or ConvertOptions(), reference, checked, results)
