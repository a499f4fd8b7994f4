"""A model to ``.tflite`` files and other formats, each one proved before it is handed over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.atomic import write_bytes
from converters.bundle import EXPORT_PAGE, SCRATCH_PREFIX, TEST_IMAGES_FILE, TestPictures
from converters.export_page import render_page
from converters.floor import floor_python
from converters.hand_over import bring_back, hand_over
from converters.inputs.detect import kind_of
from converters.inputs.open_source import open_source
from converters.inputs.pictures import CALIBRATE
from converters.kinds import ALWAYS, CALIBRATED
from converters.make import Maker
from converters.metadata_text import read_translations
from converters.options import ConvertOptions
from converters.other_formats import check_packages, check_source, format_entry, write_format
from converters.output_folder import OutputFolder, planned_names
from converters.prove import Prover, RejectedError, file_stem
from converters.quantization.explain import PLOT_ENDING, error_plot, error_table
from converters.quantization.layer_errors import layer_errors
from converters.reference import Reference
from converters.report import carry_over, export_key, make_report, read_report, up_to_date
from converters.rescue import rescue
from converters.source import BundleSource, Source
from converters.verify import ExportResult
from converters.whole_folder import clear_up, scratch_folder
from runtime.errors import DataError, MissingPackageError, ModelError, UsageError
from runtime.file_kind import shown

Notify = Callable[[str], None]


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


class ConversionError(ModelError):
    """Some file was refused; ``conversion`` has the report on all of them."""

    def __init__(self, message: str, conversion: Conversion) -> None:
        super().__init__(message)
        self.conversion = conversion


def _ignore(_message: str) -> None:
    pass


def convert(path: Path, options: ConvertOptions | None = None, notify: Notify = _ignore) -> Conversion:
    """Convert a model and check every file.

    Each file is run in its own process, compared with the model as it came and evaluated on its test pictures. A
    file that fails is not handed over; the others are.

    Args:
        path: a bundle, a ``.keras``, ``.h5``, ``.pb`` or float ``.tflite`` file, or a SavedModel.
        options: None takes the defaults.
        notify: is told in one line what happens.

    Raises:
        ModelError: a damaged model; a file that does not run; one that loses more than
            ``max_accuracy_drop`` points (files that passed are there, with the report).
        UsageError: no such file or folder; options that do not fit it.
        DataError: the output folder cannot be written; too few calibration pictures.
    """
    options = options or ConvertOptions()
    floor = floor_python(options.floor_python)
    source = _open(path, options, notify)
    target = options.output_dir or source.output_folder()
    bring_back(target)
    key = export_key(dict(source.digests()) | _digests_of_translations(options))
    if not options.force and (report := up_to_date(target, key, options)):
        _renew_page(source, target, notify)
        return Conversion(target, report, fresh=False)
    check_packages(options.formats)
    own = target.resolve() == source.output_folder().resolve()
    # In our own folder an earlier version may have been killed before it could say what it wrote.
    folder = OutputFolder(target, path, own or options.force)
    if target.resolve() == path.resolve():
        raise UsageError(f"--output-dir {shown(target)} is the model itself; name another folder")
    folder.make()
    planned = planned_names(source.spec, options)
    folder.check(planned, planned)
    try:
        with scratch_folder(target, SCRATCH_PREFIX) as scratch:
            report, failures = _Run(source, options, floor, folder, scratch, notify).all(key)
    except OSError as error:
        raise DataError(f"cannot write to {shown(target)}: {error.strerror or error}") from error
    if failures:
        raise ConversionError("; ".join(failures), Conversion(target, report, fresh=True))
    return Conversion(target, report, fresh=True)


def _open(path: Path, options: ConvertOptions, notify: Notify) -> Source:
    clear_up(path)  # a training killed at the one wrong moment has left its bundle under another name
    kind = kind_of(path)
    check_source(options.formats, kind, path)
    if kind == "bundle":
        options.hints.refuse(frozenset(), "a bundle, which says it itself")
        if options.calibration_dir is not None:
            raise UsageError(
                "--calibration-dir has no place with a bundle, which brings its own pictures; leave it out"
            )
        return BundleSource(path)
    return open_source(
        path,
        options.hints,
        options.calibration_dir,
        notify,
        quantized=bool(options.calibrated),
        calibration_images=options.calibration_images or CALIBRATE,
    )


def _renew_page(source: Source, target: Path, notify: Notify) -> None:
    """Write export.html where somebody has removed it from files that are up to date."""
    report = read_report(target)
    if report is None or (target / EXPORT_PAGE).exists():
        return
    try:
        write_bytes(target / EXPORT_PAGE, render_page(report, source.check_pictures().images))
    except DataError as error:  # the files themselves are there
        notify(str(error))


def _digests_of_translations(options: ConvertOptions) -> dict[str, str]:
    found = {}
    for locale, path in options.translations.items():
        content = path.read_bytes() if path.is_file() else b""  # who reads it says that it is missing
        found[f"--labels-locale {locale}"] = hashlib.sha256(content).hexdigest()
    return found


class _Run:
    """One conversion: what is made, in which order."""

    def __init__(
        self,
        source: Source,
        options: ConvertOptions,
        floor: Path | None,
        folder: OutputFolder,
        scratch: Path,
        notify: Notify,
    ) -> None:
        self.source, self.options, self.floor = source, options, floor
        self.folder, self.scratch, self.notify = folder, scratch, notify
        self.beside = scratch / "beside"  # what is no .tflite of a kind
        self.beside.mkdir()
        self.failures: list[str] = []
        self.attempts: list[dict[str, Any]] = []
        self.reason = ""
        self.stand_in: str | None = None
        self.explained: list[Path] = []

    def all(self, key: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Make, prove and hand over; the report, and what was refused."""
        source, options = self.source, self.options
        translations = read_translations(options.translations, source.spec.labels)
        self.notify("Loading the trained model")
        pictures = source.check_pictures()
        maker = Maker(source, options, self.notify)
        maker.check_calibration()
        reference = self._reference(pictures)
        prover = Prover(source.spec, reference, options, self.floor, translations, self.scratch, self.notify)
        results = self._tflite_files(maker, prover)
        report = make_report(source, key, options, reference, pictures, results)
        accepted = {entry["file"] for entry in report["files"] if entry["accepted"]}
        made = {result.kind: result.path.read_bytes() for result in results if result.path.name in accepted}
        report["formats"] = self._other_formats(made, pictures, reference)
        if self.attempts:
            report |= {"int8_attempts": self.attempts, "int8_choice": self.reason, "int8_stand_in": self.stand_in}
        if self.explained:
            report["formats"].append(format_entry("layers", self.explained, {}, options))
        accepted_files = [result.path for result in results if result.path.name in accepted]
        written = [self.beside / part["file"] for entry in report["formats"] for part in entry["files"]]
        report, target = carry_over(report, self.folder.path, options), self.folder.path
        page = render_page(report, pictures.images)
        for name in hand_over([*accepted_files, *written], report, page, target, self.scratch, self.folder.check):
            self.notify(f"Removed {shown(name)}: it is not what this model gives now")
        return report, self.failures

    def _reference(self, pictures: TestPictures) -> Reference:
        """The model's own answers, and the pictures where other processes find them."""
        images = self.scratch / TEST_IMAGES_FILE
        np.savez(images, images=pictures.images)
        spec = self.source.spec
        scores = self.source.scores(pictures.images)
        return Reference(images, scores, pictures.truth, spec.task, spec.least_scores())

    def _tflite_files(self, maker: Maker, prover: Prover) -> list[ExportResult]:
        results: list[ExportResult] = []
        for kind in self.options.kinds:
            if any(result.kind == kind for result in results):
                continue  # it was made in the place of int8
            try:
                self.notify(f"Converting to {kind}")
                content = maker.make(kind)
                if self.options.explain and kind in CALIBRATED:
                    self._explain(kind, content, maker)
                results += self._proved(kind, content, maker, prover)
            except ModelError as error:
                if kind == ALWAYS:
                    raise  # all others are made from it
                self.failures.append(str(error))
        return results

    def _proved(self, kind: str, content: bytes, maker: Maker, prover: Prover) -> list[ExportResult]:
        """The proof of a file; of int8 that loses too much, that of what was found in its place."""
        try:
            return [prover.prove(kind, content, self.options.in_out if kind == "int8" else None)]
        except ModelError as error:
            refused, results = error, [error.result] if isinstance(error, RejectedError) else []
        if kind != "int8":
            self.failures.append(str(refused))
            return results
        self.notify(f"{refused}: trying other ways" if not results else _loses(results[0]))
        choice, found = rescue(maker, prover, content, self.options)
        self.attempts = [attempt.to_json() for attempt in choice.attempts]
        self.reason = choice.reason
        if found is None:
            self.failures.append(f"{refused}; {choice.reason}")
            return results
        self.notify(f"Took {choice.reason}")
        self.stand_in = found.kind
        return [found] if found.kind == "int8" else [*results, found]

    def _explain(self, kind: str, content: bytes, maker: Maker) -> None:
        """What each layer loses, as a table for the terminal and a picture beside the files."""
        errors = layer_errors(content, maker.float32, maker.images, self.source.spec.preprocessing)
        self.notify(f"What the layers of {kind} lose, worst first:\n{error_table(errors)}")
        path = self.beside / f"{file_stem(self.source.spec)}_{kind}{PLOT_ENDING}"
        write_bytes(path, error_plot(errors, f"{shown(self.source.spec.name)}, {kind}").encode())
        self.explained.append(path)

    def _other_formats(
        self, made: dict[str, bytes], pictures: TestPictures, reference: Reference
    ) -> list[dict[str, Any]]:
        entries = []
        stem = file_stem(self.source.spec)
        for name in self.options.formats:
            try:
                self.notify(f"Converting to {name}")
                compared = (pictures.images, reference.scores)
                files, told = write_format(
                    name, self.source, made, stem, self.beside, compared, self.options, reference
                )
                entries.append(format_entry(name, files, told, self.options))
            except (ModelError, UsageError, MissingPackageError) as error:  # of DataErrors, not a full disk
                self.failures.append(f"{name}: {error}")
        return entries


def _loses(result: ExportResult) -> str:
    return f"{result.path.name} loses {result.accuracy_drop:.1f} points: trying other ways"
