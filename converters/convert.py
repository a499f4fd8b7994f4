"""A model to ``.tflite`` files and other formats, each one proved before it is handed over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.atomic import write_bytes
from converters.bundle import EXPORT_PAGE, REPORT_FILE, SCRATCH_PREFIX, TEST_IMAGES_FILE, TestPictures
from converters.export_page import render_page
from converters.floor import floor_python
from converters.hand_over import bring_back, hand_over
from converters.inputs.detect import kind_of
from converters.inputs.open_source import open_source
from converters.inputs.pictures import CALIBRATE
from converters.kinds import ALWAYS
from converters.loss import Loss
from converters.make import Maker
from converters.metadata_text import read_translations
from converters.options import ConvertOptions
from converters.other_formats import check_packages, check_source, format_entry, write_format
from converters.output_folder import OutputFolder, planned_names
from converters.prove import Prover, RejectedError, file_stem, refusal_with_advice
from converters.quantization.choice import Choice
from converters.quantization.explain import PLOT_ENDING, error_plot, error_table
from converters.quantization.layer_errors import layer_errors
from converters.reference import Reference
from converters.report import export_key, make_report, report_bytes
from converters.rescue import rescue
from converters.source import BundleSource, Source
from converters.up_to_date import LAYERS, Standing, as_asked, carry_over, standing
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
    found = standing(target, key, options)
    if found.is_whole and not options.explain:
        return Conversion(target, _renewed(found, source, target, options, notify), fresh=False)
    check_packages(options.formats)
    own = target.resolve() == source.output_folder().resolve()
    # In our own folder an earlier version may have been killed before it could say what it wrote.
    folder = OutputFolder(target, path, own or options.force)
    if target.resolve() == path.resolve():
        raise UsageError(f"--output-dir {shown(target)} is the model itself; name another folder")
    planned = planned_names(source.spec, options)
    try:
        with folder.made(), scratch_folder(target, SCRATCH_PREFIX) as scratch:
            folder.check(planned, planned)
            report, failures = _Run(source, options, floor, folder, scratch, notify, found).all(key)
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


def _renewed(found: Standing, source: Source, target: Path, options: ConvertOptions, notify: Notify) -> dict[str, Any]:
    """The report of files that are up to date, written anew where it says something else or export.html was removed."""
    report = as_asked(found, target, options)
    is_other = report != found.report  # another limit; a file that was not asked for now is no more
    if not is_other and (target / EXPORT_PAGE).exists():
        return report
    try:
        write_bytes(target / EXPORT_PAGE, render_page(report, source.check_pictures().images))
        if is_other:
            write_bytes(target / REPORT_FILE, report_bytes(report))
    except DataError as error:  # the files themselves are there
        notify(str(error))
    return report


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
        found: Standing,
    ) -> None:
        self.source, self.options, self.floor = source, options, floor
        self.folder, self.scratch, self.notify, self.found = folder, scratch, notify, found
        self.beside = scratch / "beside"  # what is no .tflite of a kind
        self.beside.mkdir()
        self.failures: list[str] = []
        self.choice: Choice | None = None
        # Kind asked for -> kind, file and float network that it was made from, for --explain.
        self.layers: dict[str, tuple[str, bytes, bytes]] = {}

    def all(self, key: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Make, prove and hand over; the report, and what was refused."""
        source, options, target = self.source, self.options, self.folder.path
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
        accepted_files = [result.path for result in results if result.path.name in accepted]
        made = self._made_before(results) | {r.kind: r.path.read_bytes() for r in results if r.path.name in accepted}
        report["formats"] = self._other_formats(made, pictures, reference)
        if self.choice is not None:
            taken = self.choice.attempt
            report |= {
                "int8_attempts": [attempt.to_json() for attempt in self.choice.attempts],
                "int8_choice": self.choice.reason,
                "int8_stand_in": taken.kind if taken.kind in made else None,
                "int8_made_with": options.made_with("int8"),
            }
        if explained := self._explain(maker, made):
            report["formats"].append(format_entry(LAYERS, explained, {}, options))
        written = [self.beside / part["file"] for entry in report["formats"] for part in entry["files"]]
        report = carry_over(report, self.found, target, options)
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

    def _made_before(self, results: list[ExportResult]) -> dict[str, bytes]:
        """Kind -> content of the files that lie there and need not be made."""
        fresh = {result.kind for result in results} | set(self.found.kinds)
        entries = () if self.found.report is None else self.found.report["files"]
        files = {e["kind"]: self.folder.path / e["file"] for e in entries if e["accepted"] and e["kind"] not in fresh}
        return {kind: path.read_bytes() for kind, path in files.items() if path.is_file()}

    def _tflite_files(self, maker: Maker, prover: Prover) -> list[ExportResult]:
        results: list[ExportResult] = []
        for kind in self.found.kinds:
            if any(result.kind == kind for result in results):
                continue  # it was made in the place of int8
            try:
                self.notify(f"Converting to {kind}")
                content = maker.make(kind)
                self.layers[kind] = (kind, content, maker.float32)
                results += self._int8(content, maker, prover) if kind == "int8" else [prover.prove(kind, content)]
            except RejectedError as error:
                results.append(error.result)
                self.failures.append(str(error))
            except ModelError as error:
                if kind == ALWAYS:
                    raise  # all others are made from it
                self.failures.append(str(error))
        return results

    def _int8(self, content: bytes, maker: Maker, prover: Prover) -> list[ExportResult]:
        """The proof of an int8 file; where it loses more than it should, that of the best that was found."""
        in_out, limit = self.options.in_out, self.options.max_accuracy_drop
        proof: ExportResult | ModelError
        try:
            proof = first = prover.measure("int8", content, in_out)
            lost = f"{first.path.name} {Loss.of(first)}"
        except ModelError as error:
            proof, first, lost = error, None, str(error)
        if first is not None and Loss.of(first).is_within(limit):
            return [prover.judge(first)]
        self.notify(f"{lost}: trying other ways")
        rescued = rescue(maker, prover, content, proof, self.options)
        self.choice = choice = rescued.choice
        self.notify(f"Took {choice.reason}" if choice.attempt.accepted else choice.reason)
        if rescued.proof is None:
            said = lost if first is None else refusal_with_advice(first, limit)
            self.failures.append(f"{said}; {choice.reason}")
            return [] if first is None else [first]
        kind = choice.attempt.kind
        self.layers["int8"] = (kind, choice.content, choice.network)
        refused = [] if first is None or Loss.of(first).is_accepted(limit) or kind == "int8" else [first]
        return [*refused, rescued.proof]

    def _explain(self, maker: Maker, made: dict[str, bytes]) -> list[Path]:
        """What each layer of the integer files loses, as a table for the terminal and a picture beside the files."""
        drawn: list[Path] = []
        for asked in self.options.calibrated if self.options.explain else ():
            before = self.found.report or {}
            kind = (before.get("int8_stand_in") or asked) if asked == "int8" else asked
            there = (kind, made[kind], made[ALWAYS]) if {kind, ALWAYS} <= made.keys() else None
            kind, content, network = self.layers.get(asked) or there or ("", b"", b"")
            path = self.beside / f"{file_stem(self.source.spec)}_{kind}{PLOT_ENDING}"
            if not content or path in drawn:
                continue
            errors = layer_errors(content, network, maker.images, self.source.spec.preprocessing)
            self.notify(f"What the layers of {kind} lose, worst first:\n{error_table(errors)}")
            write_bytes(path, error_plot(errors, f"{shown(self.source.spec.name)}, {kind}").encode())
            drawn.append(path)
        return drawn

    def _other_formats(
        self, made: dict[str, bytes], pictures: TestPictures, reference: Reference
    ) -> list[dict[str, Any]]:
        entries = []
        stem = file_stem(self.source.spec)
        for name in self.found.formats:
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
