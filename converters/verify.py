"""Runs an exported file in its own process and compares it with the trained model."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import runtime
from converters.accuracy import Accuracy
from converters.answers import answers, unanswered
from runtime.errors import ModelError
from runtime.model_file import ModelFile
from runtime.op_versions import required_runtime
from runtime.spec import Task

# Seconds: generous, since a thousand pictures on a slow processor take minutes.
_TIMEOUT = 3600


@dataclass(frozen=True)
class Reference:
    """The trained model's answers on the check pictures.

    Attributes:
        images: ``.npz`` file with the pictures.
        scores: of the Keras model, float32 (count, classes).
        truth: which labels each picture has, bool (count, classes); no rows when they are not test pictures.
        task: of the model.
        least_scores: from which on each class counts as an answer, 0..1; see ``converters.answers``.
    """

    images: Path
    scores: NDArray[np.float32]
    truth: NDArray[np.bool_]
    task: Task = "single-label"
    least_scores: tuple[float, ...] = ()

    def answers(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The labels that scores of these pictures stand for, bool (count, classes)."""
        return answers(scores, self.task, self.least_scores)

    def unanswered(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """The pictures that scores answer ``unknown``, bool (count,)."""
        return unanswered(scores, self.task, self.least_scores)

    @property
    def unknown(self) -> int:
        """Number of pictures that the Keras model answers ``unknown``."""
        return int(self.unanswered(self.scores).sum())

    def accuracy_of(self, scores: NDArray[np.float32]) -> Accuracy:
        """Of a model's scores, float32 (count, classes), on these pictures."""
        return Accuracy.of(self.answers(scores[: len(self.truth)]), self.truth)

    @property
    def accuracy(self) -> Accuracy:
        """Of the Keras model."""
        return self.accuracy_of(self.scores)


@dataclass(frozen=True)
class ExportResult:
    """An exported file and its proof.

    Attributes:
        path: of the file.
        kind: ``float32`` or ``int8``.
        size: bytes.
        sha256: hex digest of the file.
        operators: name and version of each operator, for example ``CONV_2D 1``.
        needs_runtime: first TFLite release that has them all.
        interpreter: that the file was run on.
        threads: of the interpreter.
        latency_ms: median of one forward pass, here.
        largest_score_difference: to the trained model, over all pictures and classes.
        top1_agreement: share of pictures with the trained model's answer, 0..1; of a single-label model its best
            class, whether or not that is answered ``unknown``.
        unknown: check pictures that are answered ``unknown``.
        unknown_changed: check pictures that either the file or the trained model answers ``unknown``, and not both.
        accuracy: on the test pictures.
        accuracy_drop: points (per cent) below the trained model; None without test pictures.
        scores: float32 (count, classes), of every check picture.
    """

    path: Path
    kind: str
    size: int
    sha256: str
    operators: tuple[str, ...]
    needs_runtime: str | None
    interpreter: str
    threads: int
    latency_ms: float
    largest_score_difference: float
    top1_agreement: float
    unknown: int
    unknown_changed: int
    accuracy: Accuracy
    accuracy_drop: float | None
    scores: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """For export.json; scores are kept apart."""
        return {
            "file": self.path.name,
            "kind": self.kind,
            "bytes": self.size,
            "sha256": self.sha256,
            "operators": list(self.operators),
            "needs_runtime": self.needs_runtime,
            "interpreter": self.interpreter,
            "threads": self.threads,
            "latency_ms": round(self.latency_ms, 3),
            "largest_score_difference": self.largest_score_difference,
            "top1_agreement": self.top1_agreement,
            "unknown": self.unknown,
            "unknown_changed": self.unknown_changed,
            "accuracy": self.accuracy.to_json(),
            "accuracy_drop": self.accuracy_drop,
        }


def verify_file(path: Path, kind: str, reference: Reference) -> ExportResult:
    """Run a file over the check pictures.

    Raises:
        ModelError: the file does not run, and the text says how it ended; or its scores are no numbers.
    """
    file = ModelFile.read(path)
    scores, facts = run_in_process(path, reference.images)
    if not np.isfinite(scores).all():
        raise ModelError(f"{path.name} gives scores that are not numbers")
    same = (reference.answers(scores) == reference.answers(reference.scores)).all(axis=1)
    unknown = reference.unanswered(scores)
    accuracy = reference.accuracy_of(scores)
    drop = (reference.accuracy.value - accuracy.value) * 100 if accuracy.images else None
    return ExportResult(
        path=path,
        kind=kind,
        size=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        operators=tuple(f"{op.name} {op.version}" for op in file.operators),
        needs_runtime=required_runtime(file).version,
        interpreter=facts["interpreter"],
        threads=facts["threads"],
        latency_ms=facts["latency_ms"],
        largest_score_difference=float(np.abs(scores - reference.scores).max(initial=0.0)),
        top1_agreement=float(same.mean()) if len(same) else 1.0,
        unknown=int(unknown.sum()),
        unknown_changed=int((unknown != reference.unanswered(reference.scores)).sum()),
        accuracy=accuracy,
        accuracy_drop=drop,
        scores=scores,
    )


def run_in_process(
    model: Path, images: Path, python: str = sys.executable
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Scores and facts of ``runtime.scoring`` in a new process.

    Args:
        model: a ``.tflite`` file.
        images: an ``.npz`` file with ``images``.
        python: the interpreter to run; its environment needs numpy, Pillow and a TFLite interpreter.

    Raises:
        ModelError: the process fails, crashes or hangs.
    """
    environment = dict(os.environ)
    # The child runs this very `runtime`, wherever it was imported from.
    package_root = str(Path(runtime.__path__[0]).resolve().parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_root, environment.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.npz"
        command = [python, "-m", "runtime.scoring", str(model.resolve()), str(images.resolve()), str(out)]
        try:
            # In an empty folder: `-m` looks for modules in the current one first, and a user's may hold a json.py.
            done = subprocess.run(  # noqa: S603 - our own module, with paths as arguments
                command, cwd=folder, capture_output=True, env=environment, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise ModelError(f"{model.name} does not end within {_TIMEOUT} seconds") from None
        if done.returncode != 0:
            raise ModelError(f"{model.name} does not run: {_reason(done)}")
        with np.load(out, allow_pickle=False) as stored:
            return stored["scores"], json.loads(str(stored["facts"]))


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        return f"the interpreter crashed ({signal.Signals(-done.returncode).name})"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    # Interpreters log from C++ to the same place, also when they are taken down.
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] or lines
    return told[-1] if told else f"exit code {done.returncode}"
