"""Runs an exported file in processes of its own and compares it with the trained model."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters import floor
from converters.comparison import Comparison, compare
from converters.min_runtime import MinRuntime, require_runtime
from converters.processes import run_in_process
from converters.reference import Reference
from converters.truth import require_true
from runtime.model_file import ModelFile, OperatorUse
from runtime.op_versions import required_runtime

__all__ = ["ExportResult", "Reference", "Run", "run_in_process", "verify_file"]


@dataclass(frozen=True)
class Run(Comparison):
    """A file on one interpreter, over the check pictures.

    Attributes:
        interpreter: name and version.
        threads: of the interpreter.
        latency_ms: median of one forward pass with so many threads, here.
        latency_one_thread_ms: the same with one thread.
        peak_memory: bytes that the model takes at most, beside the interpreter and Python; None where the system
            does not say.
    """

    interpreter: str
    threads: int
    latency_ms: float
    latency_one_thread_ms: float
    peak_memory: int | None

    def to_json(self) -> dict[str, Any]:
        """For export.json; scores are kept apart."""
        return {
            "interpreter": self.interpreter,
            "threads": self.threads,
            "latency_ms": round(self.latency_ms, 3),
            "latency_one_thread_ms": round(self.latency_one_thread_ms, 3),
            "peak_memory": self.peak_memory,
            **super().to_json(),
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
    return Run(
        **compare(path.name, scores, reference),
        interpreter=facts["interpreter"],
        threads=facts["threads"],
        latency_ms=facts["latency_ms"],
        latency_one_thread_ms=facts["latency_one_thread_ms"],
        peak_memory=facts["peak_memory"],
    )
