"""A bundle to ``.tflite`` files, each one proved before it is handed over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bias_correction import correct_biases
from converters.bundle import CALIBRATION_FILE, MODEL_FILE, SCRATCH_PREFIX, TEST_IMAGES_FILE, ModelBundle, TestPictures
from converters.formats.tflite import convert_float32, convert_int8
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.report import carry_over, export_key, hand_over, is_accepted, make_report, up_to_date
from converters.verify import ExportResult, Reference, verify_file
from converters.whole_folder import scratch_folder
from runtime.errors import DataError, EdgeExportError, ModelError, first_line
from runtime.preprocess import normalize
from runtime.spec import SPEC_FILE_NAME, ModelSpec, Preprocessing

# What Windows and shells do not take in a file's name.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]+')
# Bytes of a file's name before its ending; file systems take 255 in all.
_LONGEST_NAME = 200
# A loss of so few test pictures may be chance.
_FEW = 3


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
    key = export_key(bundle)
    if not options.force and (report := up_to_date(target, key, options)):
        return Conversion(target, report, fresh=False)
    if target.exists() and not target.is_dir():
        raise DataError(f"cannot write to {target}: it is a file, not a folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target, SCRATCH_PREFIX) as scratch:
            notify("Loading the trained model")
            model = bundle.keras_model()
            calibration = bundle.calibration_images()
            reference, pictures = _reference(model, bundle, calibration)
            results, failures = [], []
            made: dict[str, bytes] = {}
            for kind in options.kinds:
                try:
                    notify(f"Converting to {kind}")
                    made[kind] = _make(kind, model, made, calibration, bundle.spec.preprocessing)
                    results.append(_prove(bundle, kind, made[kind], reference, scratch, options, notify))
                except _RejectedError as error:
                    results.append(error.result)
                    failures.append(str(error))
                except ModelError as error:
                    failures.append(str(error))
            report = make_report(bundle, key, options, reference, pictures, results)
            report = carry_over(report, target, options)
            for name in hand_over(results, report, target):
                notify(f"Removed {name}: it is not what this model gives now")
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


def _reference(model: Any, bundle: ModelBundle, calibration: NDArray[Any]) -> tuple[Reference, TestPictures]:
    """The Keras model's answers on the test pictures; on calibration pictures where there are none."""
    pictures = bundle.test_pictures()
    name, images = TEST_IMAGES_FILE, pictures.images
    if not len(images):
        name, images = CALIBRATION_FILE, calibration
    if not len(images):
        raise ModelError(f"{bundle.folder / name} holds no pictures to check the files with")
    _check_model(model, bundle)
    # Few at a time: Keras keeps every layer's output until the call ends.
    batches = [
        np.asarray(model([normalize(images[start : start + 4], bundle.spec.preprocessing)], training=False))
        for start in range(0, len(images), 4)
    ]
    spec = bundle.spec
    scores = np.concatenate(batches)
    return Reference(bundle.folder / name, scores, pictures.truth, spec.task, spec.least_scores()), pictures


def _check_model(model: Any, bundle: ModelBundle) -> None:
    pixels, labels = bundle.spec.preprocessing, bundle.spec.labels
    taken = [tuple(tensor.shape[1:]) for tensor in model.inputs]
    given = [tuple(tensor.shape[1:]) for tensor in model.outputs]
    if taken != [(pixels.height, pixels.width, 3)] or given != [(len(labels),)]:
        raise ModelError(
            f"{bundle.folder / MODEL_FILE} takes {taken} and gives {given}; its {SPEC_FILE_NAME} says one picture of "
            f"{(pixels.height, pixels.width, 3)} and {len(labels)} scores"
        )


def _make(
    kind: str, model: Any, made: dict[str, bytes], calibration: NDArray[Any], preprocessing: Preprocessing
) -> bytes:
    """Convert to one kind; int8 is corrected by means of the float32 file made before."""
    try:
        if kind == "float32":
            return convert_float32(model)
        int8 = convert_int8(model, calibration, preprocessing)
        return correct_biases(int8, made["float32"], calibration, preprocessing) if "float32" in made else int8
    except EdgeExportError:
        raise
    except Exception as error:  # ConverterError and whatever else comes up in TensorFlow
        raise ModelError(f"TensorFlow cannot convert the model to {kind}: {first_line(error)}") from error


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
    path = scratch / _file_name(bundle.spec, kind)
    path.write_bytes(add_metadata(content, bundle.spec))
    notify(f"Checking {path.name} on {len(reference.scores)} pictures")
    result = verify_file(path, kind, reference)
    if not is_accepted(result.accuracy_drop, options):
        raise _RejectedError(_advice(result, options), result)
    return result


def _file_name(spec: ModelSpec, kind: str) -> str:
    """A name that every file system takes and that leads into no other folder, whatever the bundle says."""
    plain = _UNSAFE.sub("_", spec.name).strip(". ") or "model"
    short = plain.encode(errors="replace")[:_LONGEST_NAME].decode(errors="ignore")
    return f"{short}_{kind}.tflite"


def _advice(result: ExportResult, options: ConvertOptions) -> str:
    text = (
        f"{result.path.name} loses {result.accuracy_drop:.1f} points on the {result.accuracy.images} test pictures, "
        f"more than the {options.max_accuracy_drop:g} allowed, and was not kept"
    )
    lost = round((result.accuracy_drop or 0) * result.accuracy.images / 100)
    if lost <= _FEW:
        text += (
            f"; that is {lost} {'picture' if lost == 1 else 'pictures'}, too few to be sure: more pictures tell more"
        )
    if result.kind == "int8":
        text += (
            "; try more calibration pictures (toolkit train --calibration-images 500), another architecture "
            "(EfficientNet-Lite is made for int8), the float32 file, or allow it with --max-accuracy-drop"
        )
    return text
