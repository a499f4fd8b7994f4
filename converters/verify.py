"""Runs an exported file in processes of its own and compares it with the trained model."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters import floor
from converters.accuracy import Accuracy
from converters.min_runtime import MinRuntime, require_runtime
from converters.paired import Paired
from converters.processes import run_in_process
from converters.reference import Reference
from converters.truth import require_true
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.model_file import ModelFile, OperatorUse
from runtime.op_versions import required_runtime

__all__ = ["ExportResult", "Reference", "Run", "run_in_process", "verify_file"]


@dataclass(frozen=True)
class Run:
    """A file on one interpreter, over the check pictures.

    Attributes:
        interpreter: name and version.
        threads: of the interpreter.
        latency_ms: median of one forward pass with so many threads, here.
        latency_one_thread_ms: the same with one thread.
        peak_memory: bytes that the model takes at most, beside the interpreter and Python; None where the system
            does not say.
        largest_score_difference: to the trained model, over all pictures and classes.
        top1_agreement: share of pictures with the trained model's answer, 0..1; of a single-label model its best
            class, whether or not that is answered ``unknown``.
        unknown: check pictures that are answered ``unknown``.
        unknown_changed: check pictures that either the file or the trained model answers ``unknown``, and not both.
        accuracy: on the test pictures.
        accuracy_drop: points (per cent) below the trained model; None without test pictures.
        paired: the pictures whose answer is another than the trained model's.
        scores: float32 (count, classes), of every check picture.
    """

    interpreter: str
    threads: int
    latency_ms: float
    latency_one_thread_ms: float
    peak_memory: int | None
    largest_score_difference: float
    top1_agreement: float
    unknown: int
    unknown_changed: int
    accuracy: Accuracy
    accuracy_drop: float | None
    paired: Paired
    scores: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """For export.json; scores are kept apart."""
        return {
            "interpreter": self.interpreter,
            "threads": self.threads,
            "latency_ms": round(self.latency_ms, 3),
            "latency_one_thread_ms": round(self.latency_one_thread_ms, 3),
            "peak_memory": self.peak_memory,
            "largest_score_difference": self.largest_score_difference,
            "top1_agreement": self.top1_agreement,
            "unknown": self.unknown,
            "unknown_changed": self.unknown_changed,
            "accuracy": self.accuracy.to_json(),
            "accuracy_drop": self.accuracy_drop,
            "changed": self.paired.to_json(),
        }


@dataclass(frozen=True)
class ExportResult(Run):
    """An exported file and its proof: its run on LiteRT, and what else is known of it.

    Attributes:
        path: of the file.
        kind: ``float32``, ``float16``, ``dynamic``, ``int8``, ``int16x8``, ...
        size: bytes.
        sha256: hex digest of the file.
        input: dtype of the input.
        output: dtype of the output.
        uses: the operators with their versions and counts.
        needs_runtime: first TFLite release that has them all.
        floor: its run on tflite-runtime; None where it was not run there.
    """

    path: Path
    kind: str
    size: int
    sha256: str
    input: str
    output: str
    uses: tuple[OperatorUse, ...]
    needs_runtime: str | None
    floor: Run | None

    @property
    def operators(self) -> tuple[str, ...]:
        """Name and version of each operator, for example ``CONV_2D 1``."""
        return tuple(f"{op.name} {op.version}" for op in self.uses)

    def to_json(self) -> dict[str, Any]:
        """For export.json; scores are kept apart."""
        return {
            "file": self.path.name,
            "kind": self.kind,
            "bytes": self.size,
            "sha256": self.sha256,
            "input": self.input,
            "output": self.output,
            "operators": [{"name": op.name, "version": op.version, "count": op.count} for op in self.uses],
            "needs_runtime": self.needs_runtime,
            **super().to_json(),
            "floor": None if self.floor is None else self.floor.to_json(),
        }


def verify_file(
    path: Path,
    kind: str,
    reference: Reference,
    *,
    floor_python: Path | None = None,
    io: str | None = None,
    minimum: MinRuntime | None = None,
) -> ExportResult:
    """Prove a file: it is what its name says, it loads where it must, and this is how it answers.

    Args:
        path: of the file.
        kind: what it is called; see ``converters.truth``.
        reference: what it is compared with.
        floor_python: a Python with tflite-runtime, see ``converters.floor``; None runs the file on LiteRT alone.
        io: dtype that input and output must have; None takes what they are.
        minimum: the oldest interpreter that must load it; None asks for none.

    Raises:
        ModelError: the file does not run, and the text says how it ended; its scores are no numbers; it is no integer
            model although it is called one; or an operator is too new.
    """
    file = ModelFile.read(path)
    content = path.read_bytes()
    require_true(path.name, content, kind, io)
    if minimum is not None:
        require_runtime(file, kind, minimum)
    run = run_file(path, reference)
    return ExportResult(
        **{name: getattr(run, name) for name in Run.__dataclass_fields__},
        path=path,
        kind=kind,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        input=file.inputs[0].dtype,
        output=file.outputs[0].dtype,
        uses=tuple(use for use in file.operators if use.count),
        needs_runtime=required_runtime(file).version,
        floor=None if floor_python is None else run_file(path, reference, str(floor_python), floor.INTERPRETER),
    )


def run_file(path: Path, reference: Reference, python: str = sys.executable, interpreter: str | None = None) -> Run:
    """Run a file over the check pictures.

    Args:
        path: of the file.
        reference: the pictures, and what the answers are compared with.
        python: whose interpreter runs it.
        interpreter: which of them; see ``run_in_process``.

    Raises:
        ModelError: the file does not run, and the text says how it ended; or its scores are no numbers.
    """
    scores, facts = run_in_process(path, reference.images, python, interpreter)
    if not np.isfinite(scores).all():
        raise ModelError(f"{shown(path.name)} gives scores that are not numbers")
    if scores.shape != reference.scores.shape:
        raise ModelError(
            f"{shown(path.name)} gives {scores.shape[1]} scores for each of {scores.shape[0]} pictures; what it is "
            f"compared with has {reference.scores.shape[1]} for each of {reference.scores.shape[0]}"
        )
    same = (reference.answers(scores) == reference.answers(reference.scores)).all(axis=1)
    unknown = reference.unanswered(scores)
    accuracy = reference.accuracy_of(scores)
    return Run(
        interpreter=facts["interpreter"],
        threads=facts["threads"],
        latency_ms=facts["latency_ms"],
        latency_one_thread_ms=facts["latency_one_thread_ms"],
        peak_memory=facts["peak_memory"],
        largest_score_difference=float(np.abs(scores - reference.scores).max(initial=0.0)),
        top1_agreement=float(same.mean()) if len(same) else 1.0,
        unknown=int(unknown.sum()),
        unknown_changed=int((unknown != reference.unanswered(reference.scores)).sum()),
        accuracy=accuracy,
        accuracy_drop=(reference.accuracy.value - accuracy.value) * 100 if accuracy.images else None,
        paired=reference.paired_with(scores),
        scores=scores,
    )
