"""A bundle to ``.tflite`` files, each one proved before it is handed over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.bundle import SCRATCH_PREFIX, TEST_IMAGES_FILE, TestPictures
from converters.kinds import ALWAYS
from converters.make import Maker
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.report import carry_over, export_key, hand_over, is_accepted, make_report, up_to_date
from converters.source import BundleSource, Source
from converters.verify import ExportResult, Reference, verify_file
from converters.whole_folder import scratch_folder
from runtime.errors import DataError, ModelError
from runtime.file_kind import shown
from runtime.spec import ModelSpec

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


def convert(path: Path, options: ConvertOptions | None = None, notify: Callable[[str], None] = _ignore) -> Conversion:
    """Convert a bundle and check every file.

    Each file is run in its own process, compared with the trained model and evaluated on the bundle's test
    pictures. A file that fails is not handed over; the others are.

    Args:
        path: of the bundle.
        options: None takes the defaults.
        notify: is told in one line what happens.

    Raises:
        ModelError: a damaged bundle; a file that does not run; one that loses more than
            ``max_accuracy_drop`` points (files that passed are there, with the report).
        UsageError: no such folder.
        DataError: the output folder cannot be written.
    """
    options = options or ConvertOptions()
    source = BundleSource(path)
    target = options.output_dir or source.output_folder()
    key = export_key(source.digests())
    if not options.force and (report := up_to_date(target, key, options)):
        return Conversion(target, report, fresh=False)
    if target.exists() and not target.is_dir():
        raise DataError(f"cannot write to {shown(target)}: it is a file, not a folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target, SCRATCH_PREFIX) as scratch:
            report, failures = _convert(source, options, key, target, scratch, notify)
    except OSError as error:
        raise DataError(f"cannot write to {shown(target)}: {error.strerror or error}") from error
    if failures:
        raise ConversionError("; ".join(failures), Conversion(target, report, fresh=True))
    return Conversion(target, report, fresh=True)


def _convert(
    source: Source,
    options: ConvertOptions,
    key: dict[str, Any],
    target: Path,
    scratch: Path,
    notify: Callable[[str], None],
) -> tuple[dict[str, Any], list[str]]:
    """Make, prove and hand over; the report, and what was refused."""
    notify("Loading the trained model")
    pictures = source.check_pictures()
    maker = Maker(source, options, notify)
    maker.check_calibration()
    reference = _reference(source, pictures, scratch)
    results, failures = [], []
    for kind in options.kinds:
        try:
            notify(f"Converting to {kind}")
            results.append(_prove(source.spec, kind, maker.make(kind), reference, scratch, options, notify))
        except _RejectedError as error:
            results.append(error.result)
            failures.append(str(error))
        except ModelError as error:
            if kind == ALWAYS:
                raise  # all others are made from it
            failures.append(str(error))
    report = carry_over(make_report(source.spec, key, options, reference, pictures, results), target, options)
    for name in hand_over(results, report, target):
        notify(f"Removed {name}: it is not what this model gives now")
    return report, failures


class ConversionError(ModelError):
    """Some file was refused; ``conversion`` has the report on all of them."""

    def __init__(self, message: str, conversion: Conversion) -> None:
        super().__init__(message)
        self.conversion = conversion


class _RejectedError(ModelError):
    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result


def _reference(source: Source, pictures: TestPictures, scratch: Path) -> Reference:
    """The trained model's answers, and the pictures where other processes find them."""
    images = scratch / TEST_IMAGES_FILE
    np.savez(images, images=pictures.images)
    spec = source.spec
    return Reference(images, source.scores(pictures.images), pictures.truth, spec.task, spec.least_scores())


def _prove(
    spec: ModelSpec,
    kind: str,
    content: bytes,
    reference: Reference,
    scratch: Path,
    options: ConvertOptions,
    notify: Callable[[str], None],
) -> ExportResult:
    """Add metadata, run, compare."""
    path = scratch / _file_name(spec, kind)
    path.write_bytes(add_metadata(content, spec))
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
