"""The C++ source for microcontrollers, written once its model is proved: its bytes are not those of the int8 file."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.comparison import Comparison, compare
from converters.formats import c_array
from converters.formats.arena import run_micro
from converters.formats.dense_per_tensor import per_tensor_dense
from converters.formats.lean_model import lean_model
from converters.gate import refusal, remarks
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.paired import Paired
from converters.reference import Reference
from converters.verify import run_file
from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.quiet import quiet_stderr
from runtime.spec import ModelSpec

# Pictures that tflite-micro is given at most: it takes a second for one where LiteRT takes milliseconds.
_MICRO_PICTURES = 50
# Seconds that it may take in all.
_TIMEOUT = 900


def write_proved(
    int8: bytes, spec: ModelSpec, folder: Path, reference: Reference, options: ConvertOptions, python: str = ""
) -> tuple[list[Path], dict[str, Any]]:
    """Run the model that goes into the source as any other file, and write the source if it loses no more than it may.

    LiteRT runs it over all check pictures, tflite-micro, where it is installed, over some.

    Args:
        int8: content of the ``.tflite`` file.
        spec: of the model.
        folder: for the files.
        reference: what the answers are compared with.
        options: of the conversion, with the limit.
        python: the interpreter whose tflite-micro is used, if it has it; empty means this one.

    Returns:
        The files, and for export.json: ``proof`` and ``micro`` (None where tflite-micro is not installed), both as
        ``Comparison.to_json`` has them, and a ``message`` where there is something to know.

    Raises:
        ModelError: it does not run, or loses too much; see also ``c_array.write``.
        DataError: the files cannot be written.
    """
    python = python or sys.executable
    lean = lean_model(per_tensor_dense(int8))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.tflite"
        # Metadata say how pictures go in; operators and weights are those of the source.
        path.write_bytes(add_metadata(lean, spec))
        run = run_file(path, reference)
        _check("the model in the C++ source", run, options)
        found = _on_micro(path, lean, reference, python)
    told: dict[str, Any] = {
        "proof": {"bytes": len(lean), "sha256": hashlib.sha256(lean).hexdigest()} | run.to_json(),
        "micro": None,
    }
    said = remarks("the model in the C++ source", run, options.max_accuracy_drop)
    if found is not None:
        version, compared = found
        _check("on tflite-micro the model in the C++ source", compared, options)
        told["micro"] = {"interpreter": f"tflite-micro {version}", "images": len(compared.scores)} | compared.to_json()
        said += remarks("on tflite-micro the model in the C++ source", compared, options.max_accuracy_drop)
    if said:
        told["message"] = "; ".join(said)
    return c_array.write(lean, spec, folder, "int8", python), told


def _check(name: str, compared: Comparison, options: ConvertOptions) -> None:
    if refused := refusal(name, compared, options.max_accuracy_drop):
        raise ModelError(f"{refused}; try another architecture, or allow it with --max-accuracy-drop")


def _on_micro(path: Path, lean: bytes, reference: Reference, python: str) -> tuple[str, Comparison] | None:
    """Version of tflite-micro and what it answers; None where it is not installed, or there are no pictures."""
    rows = np.random.default_rng(0).permutation(len(reference.scores))[:_MICRO_PICTURES]
    if not len(rows):
        return None
    with quiet_stderr():
        classifier = Classifier.load(path)
    with np.load(reference.images, allow_pickle=False) as stored:
        pictures = stored["images"][rows]
    model, given, out = (path.with_name(name) for name in ("lean.tflite", "given.npy", "outputs.npz"))
    model.write_bytes(lean)
    np.save(given, np.concatenate([classifier.tensor(picture) for picture in pictures]))
    if run_micro(python, "converters.formats.micro_scoring", [model, given, out], _TIMEOUT) is None:
        return None
    with np.load(out, allow_pickle=False) as stored:
        outputs, version = stored["outputs"], str(stored["version"])
    scores = classifier.model.output.dequantize(outputs).clip(0.0, 1.0)  # as the source's Score() has them
    order = np.argsort(rows[: len(scores)])
    return version, _compare_some("the model on tflite-micro", scores[order], reference, rows[order])


def _compare_some(name: str, scores: NDArray[np.float32], reference: Reference, rows: NDArray[np.intp]) -> Comparison:
    """Compare on some of the pictures, their rows in ascending order."""
    truth = reference.truth[rows] if len(reference.truth) else reference.truth
    some = replace(reference, scores=reference.scores[rows], truth=truth)
    compared = Comparison(**compare(name, scores, some))
    paired = Paired(
        *(_named(rows, of) for of in (compared.paired.better, compared.paired.worse, compared.paired.other))
    )
    return replace(compared, paired=paired)


def _named(rows: NDArray[np.intp], chosen: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(rows[row]) for row in chosen)
