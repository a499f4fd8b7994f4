"""A bundle to ``.tflite`` files, each one proved before it is handed over."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.accuracy import Accuracy
from converters.bias_correction import correct_biases
from converters.bundle import ModelBundle, TestPictures
from converters.formats.tflite import convert_float32, convert_int8
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.verify import ExportResult, Reference, verify_file
from runtime.errors import DataError, ModelError
from runtime.preprocess import normalize

REPORT_FILE = "export.json"
_REPORT_VERSION = 1
# Change it when the same bundle and options would give other files.
_RECIPE = 1


@dataclass(frozen=True)
class Conversion:
    """What a conversion gave.

    Attributes:
        folder: of the files.
        report: the content of export.json.
        fresh: False where the files were there and up to date.
    """

    folder: Path
    report: dict[str, Any]
    fresh: bool


def _ignore(_message: str) -> None:
    pass


def convert(folder: Path, options: ConvertOptions | None = None, notify: Callable[[str], None] = _ignore) -> Conversion:
    """Convert a bundle and check every file.

    Each file is run in its own process, compared with the Keras model and evaluated on the bundle's test
    pictures. A file that fails is not handed over; the others are.

    Args:
        folder: of the bundle.
        options: None takes the defaults.
        notify: is told in one line what happens.

    Raises:
        ModelError: a damaged bundle; a file that does not run; one that loses more than
            ``max_accuracy_drop`` points (files that passed are there, with the report).
        UsageError: no such folder.
        DataError: the output folder cannot be written.
    """
    options = options or ConvertOptions()
    bundle = ModelBundle.load(folder)
    target = options.output_dir or bundle.export_folder
    key = _key(bundle)
    if not options.force and (report := _up_to_date(target, key, options)):
        return Conversion(target, report, fresh=False)
    if target.exists() and not target.is_dir():
        raise DataError(f"cannot write to {target}: it is a file, not a folder")
    notify("Loading the trained model")
    model = bundle.keras_model()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=target) as scratch:
            reference, pictures = _reference(model, bundle, Path(scratch))
            results, failures = [], []
            made: dict[str, bytes] = {}
            for kind in options.kinds:
                try:
                    made[kind] = _make(bundle, model, kind, made, notify)
                    results.append(_prove(bundle, kind, made[kind], reference, Path(scratch), options, notify))
                except _RejectedError as error:
                    results.append(error.result)
                    failures.append(str(error))
                except ModelError as error:
                    failures.append(str(error))
            report = _report(bundle, key, options, reference, pictures, results)
            _hand_over(results, report, target)
    except OSError as error:
        raise DataError(f"cannot write to {target}: {error.strerror or error}") from error
    if failures:
        raise ConversionError("; ".join(failures), Conversion(target, report, fresh=True))
    return Conversion(target, report, fresh=True)


class ConversionError(ModelError):
    """Some file was refused; ``conversion`` has the report on all of them."""

    def __init__(self, message: str, conversion: Conversion) -> None:
        super().__init__(message)
        self.conversion = conversion


class _RejectedError(ModelError):
    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result


def _reference(model: Any, bundle: ModelBundle, scratch: Path) -> tuple[Reference, TestPictures]:
    """The Keras model's answers on the test pictures; on calibration pictures where there are none."""
    pictures = bundle.test_pictures()
    images = pictures.images if len(pictures.images) else bundle.calibration_images()
    path = scratch / "images.npz"
    np.savez(path, images=images)
    batches = [
        np.asarray(model([normalize(images[start : start + 32], bundle.spec.preprocessing)], training=False))
        for start in range(0, len(images), 32)
    ]
    return Reference(path, np.concatenate(batches), pictures.class_ids), pictures


def _make(bundle: ModelBundle, model: Any, kind: str, made: dict[str, bytes], notify: Callable[[str], None]) -> bytes:
    """Convert to one kind; int8 is corrected by means of the float32 file made before."""
    notify(f"Converting to {kind}")
    pixels = bundle.spec.preprocessing
    try:
        if kind == "float32":
            return convert_float32(model)
        images = bundle.calibration_images()
        return correct_biases(convert_int8(model, images, pixels), made["float32"], images, pixels)
    except (ValueError, RuntimeError) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"TensorFlow cannot convert the model to {kind}: {line}") from error


def _prove(
    bundle: ModelBundle,
    kind: str,
    content: bytes,
    reference: Reference,
    scratch: Path,
    options: ConvertOptions,
    notify: Callable[[str], None],
) -> ExportResult:
    """Add metadata, run, compare."""
    path = scratch / f"{bundle.spec.name}_{kind}.tflite"
    path.write_bytes(add_metadata(content, bundle.spec))
    notify(f"Checking {path.name} on {len(reference.scores)} pictures")
    result = verify_file(path, kind, reference)
    if result.accuracy_drop is not None and result.accuracy_drop > options.max_accuracy_drop + 1e-9:
        raise _RejectedError(_advice(result, options), result)
    return result


def _advice(result: ExportResult, options: ConvertOptions) -> str:
    text = (
        f"{result.path.name} loses {result.accuracy_drop:.1f} points on the {result.accuracy.images} test pictures, "
        f"more than the {options.max_accuracy_drop:g} allowed, and was not kept"
    )
    if result.kind == "int8":
        text += (
            "; try more calibration pictures (toolkit train --calibration-images 500), another architecture "
            "(EfficientNet-Lite is made for int8), the float32 file, or allow it with --max-accuracy-drop"
        )
    return text


def _report(
    bundle: ModelBundle,
    key: dict[str, Any],
    options: ConvertOptions,
    reference: Reference,
    pictures: TestPictures,
    results: list[ExportResult],
) -> dict[str, Any]:
    accuracy = Accuracy.of(reference.scores[: len(pictures.class_ids)], pictures.class_ids)
    names = ["trained", *(result.kind for result in results)]
    arrays = [reference.scores, *(result.scores for result in results)]
    return {
        "schema_version": _REPORT_VERSION,
        "name": bundle.spec.name,
        "backbone": bundle.spec.backbone,
        "made_from": key,
        "max_accuracy_drop": options.max_accuracy_drop,
        "trained": {"accuracy": accuracy.to_json()},
        "files": [result.to_json() | {"accepted": _accepted(result, options.max_accuracy_drop)} for result in results],
        "test_scores": [
            {"sha256": digest}
            | {name: [round(float(s), 6) for s in array[row]] for name, array in zip(names, arrays, strict=True)}
            for row, digest in enumerate(pictures.digests)
        ],
    }


def _accepted(result: ExportResult, limit: float) -> bool:
    return result.accuracy_drop is None or result.accuracy_drop <= limit + 1e-9


def _hand_over(results: list[ExportResult], report: dict[str, Any], target: Path) -> None:
    """Move accepted files into place, one atomic step each, the report last; drop stale ones."""
    accepted = {entry["file"] for entry in report["files"] if entry["accepted"]}
    for stale in _files_of(target) - accepted:
        (target / stale).unlink(missing_ok=True)
    (target / REPORT_FILE).unlink(missing_ok=True)
    for result in results:
        if result.path.name in accepted:
            result.path.replace(target / result.path.name)
    temporary = target / f".{REPORT_FILE}"
    temporary.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    temporary.replace(target / REPORT_FILE)


def _key(bundle: ModelBundle) -> dict[str, Any]:
    """What the files depend on beside the options."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in (
        "edge-export-toolkit",
        "tensorflow",
        "tensorflow-cpu",
        "ai-edge-litert",
        "tflite-runtime",
    ):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    spec = hashlib.sha256(bundle.spec.to_json().encode()).hexdigest()
    return {
        "recipe": _RECIPE,
        "spec": spec,
        "model": bundle.spec.provenance.get("model"),
        "versions": versions,
    }


def _read_report(target: Path) -> dict[str, Any] | None:
    try:
        report = json.loads((target / REPORT_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    good = isinstance(report, dict) and report.get("schema_version") == _REPORT_VERSION
    return report if good else None


def _files_of(target: Path) -> set[str]:
    """Names of the files that an earlier conversion put there."""
    report = _read_report(target)
    if report is None:
        return set()
    return {str(entry.get("file")) for entry in report.get("files", ()) if "/" not in str(entry.get("file"))}


def _up_to_date(target: Path, key: dict[str, Any], options: ConvertOptions) -> dict[str, Any] | None:
    """The report of an earlier conversion that gave all that is asked for now, with its files unchanged."""
    report = _read_report(target)
    if report is None or report.get("made_from") != key:
        return None
    entries = {entry["kind"]: entry for entry in report["files"]}
    for kind in options.kinds:
        entry = entries.get(kind)
        if entry is None or (entry["accuracy_drop"] or 0.0) > options.max_accuracy_drop + 1e-9:
            return None
        path = target / entry["file"]
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
            return None
    return report
