"""Any model on any folder of pictures: scores, figures, and the same report as after a training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.atomic import write_bytes
from converters.bundle import METRICS_FILE, REPORT_PAGE
from converters.inputs.label_match import LabelMatch, match_labels
from runtime.classifier import Classifier
from runtime.contract import ModelContract, Overrides, read_contract
from runtime.errors import DataError, ImageError, ModelError, UsageError
from runtime.file_kind import shown
from runtime.interpreter import LoadedModel
from toolkit.class_folders import require_folder
from toolkit.dataset import index_folder
from toolkit.evaluation import Evaluation, truth_matrix
from toolkit.folders import default_cache_dir
from toolkit.heat_maps import HeatMap, HeatMapper, draw_heat_maps, heat_examples
from toolkit.model_to_evaluate import RunnableModel, runnable_model
from toolkit.progress import progress_bar
from toolkit.records import DatasetIndex, SkippedFile
from toolkit.report.content import EVALUATED, Composition, ReportContent
from toolkit.report.metrics import metrics_bytes, report_metrics
from toolkit.report.page import write_report
from toolkit.report.versions import versions
from toolkit.score_pictures import score_pictures
from toolkit.training_overlap import find_overlap

_NO_HEAT = (
    "There are none: this file does not end in a feature map, a global average pool and dense layers, "
    "which class activation mapping needs."
)


@dataclass(frozen=True)
class EvaluateOptions:
    """Everything that ``toolkit evaluate`` can be told.

    Attributes:
        output_dir: for report.html and metrics.json.
        overrides: what the user says about a model file that does not say it itself.
        cache_dir: for a bundle's model made runnable; None takes the user's.
        command: as it was typed, for the report.
    """

    output_dir: Path = Path("evaluation")
    overrides: Overrides = field(default_factory=Overrides)
    cache_dir: Path | None = None
    command: str = ""


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation gave.

    Attributes:
        folder: with the report.
        model: the file that was run.
        evaluation: the answers, and all figures.
        metrics: the content of metrics.json.
        skipped: files that were not used.
    """

    folder: Path
    model: Path
    evaluation: Evaluation
    metrics: dict[str, Any]
    skipped: tuple[SkippedFile, ...]


def _ignore(_message: str) -> None:
    pass


def evaluate(
    model: Path, image_dir: Path, options: EvaluateOptions | None = None, notify: Callable[[str], None] = _ignore
) -> EvaluateResult:
    """Run a model over a folder that has one folder of pictures for each class, and write what came out.

    Args:
        model: a ``.tflite`` file, or a bundle; see ``runnable_model`` for what is run of it.
        image_dir: the folder; for a multi-label model a ``labels.csv`` in it counts. Its folders are matched to the
            model's labels by name; pictures in one that matches none count as pictures of no class.
        options: None takes the defaults.
        notify: is told in one line what happens.

    Raises:
        EdgeExportError: any of its kinds. Each file is written whole or not at all, at the end.
    """
    options = options or EvaluateOptions()
    require_folder(image_dir)
    _prepare(options.output_dir)
    runnable = runnable_model(model, options.cache_dir or default_cache_dir(), notify)
    notify(f"model: {shown(runnable.path)} ({runnable.description})")
    contract = read_contract(runnable.path, options.overrides)
    for warning in contract.warnings:
        notify(f"warning: {warning}")
    index = index_folder(image_dir, contract.task, least=1)
    notify(index.summary())
    match = _match(index, contract)
    notes = _match_notes(index, match)
    for note in notes:
        notify(f"warning: {note}")
    index, scores = _score(index, contract)
    evaluation = _evaluation(index, match, contract, scores)
    overlap = find_overlap(model, contract, index)
    if overlap.note:
        notify(f"warning: {overlap.note}")
        notes += (overlap.note,)
    evaluations = {EVALUATED: evaluation}
    if overlap.test_rows:
        evaluations["the test pictures among them"] = evaluation.subset(np.array(overlap.test_rows, np.int64))
    content = _content(model, runnable, contract, index, evaluations, options, notes)
    metrics = report_metrics(content)
    write_report(content, options.output_dir / REPORT_PAGE)  # the larger first: a full disk is found out here
    write_bytes(options.output_dir / METRICS_FILE, metrics_bytes(metrics))
    return EvaluateResult(options.output_dir, runnable.path, evaluation, metrics, index.skipped)


def _prepare(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output-dir {shown(folder)} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {shown(folder)}: {error.strerror or error}") from error


def _match(index: DatasetIndex, contract: ModelContract) -> LabelMatch:
    match = match_labels(index.labels, contract.labels)
    if not match.class_ids:
        raise DataError(
            f"no folder of {shown(index.root)} is named like a class of the model: the folders are "
            f"{_listed(index.labels)}, the classes {_listed(contract.labels)}; rename the folders, or name the classes "
            "with --labels"
        )
    return match


def _listed(names: tuple[str, ...]) -> str:
    few = ", ".join(map(repr, names[:6]))
    return f"{few} and {len(names) - 6} more" if len(names) > 6 else few


def _match_notes(index: DatasetIndex, match: LabelMatch) -> tuple[str, ...]:
    counts = dict(zip(index.labels, index.counts(), strict=True))
    loosely = [f"the folder {folder!r} is taken for the class {label!r}" for folder, label in match.loosely.items()]
    unmatched = [
        f"the folder {folder!r} is named like no class of the model: its {counts[folder]} pictures count as pictures "
        "of no class"
        for folder in match.unmatched
    ]
    return (*loosely, *unmatched)


def _score(index: DatasetIndex, contract: ModelContract) -> tuple[DatasetIndex, NDArray[np.float32]]:
    """Scores, float32 (pictures, classes), and the index less the pictures that cannot be decoded."""
    rows: list[NDArray[np.float32]] = []
    failures: dict[str, str] = {}
    with progress_bar("Classifying", len(index.images)) as bar:
        pictures = [(image.digest, image.path) for image in index.images]
        for image, result in zip(index.images, score_pictures(contract, pictures), strict=True):
            bar.update()
            if isinstance(result, ImageError):
                failures[image.digest] = str(result).removeprefix(f"{shown(image.path)}: ")
            else:
                rows.append(result)
    if not rows:
        raise DataError(f"not one picture of {shown(index.root)} can be decoded; {next(iter(failures.values()))}")
    return index.without(failures), np.stack(rows)


def _evaluation(
    index: DatasetIndex, match: LabelMatch, contract: ModelContract, scores: NDArray[np.float32]
) -> Evaluation:
    ids = [match.class_ids.get(label) for label in index.labels]
    truth = [[i for c in image.class_ids if (i := ids[c]) is not None] for image in index.images]
    spec = contract.spec
    return Evaluation(
        labels=contract.labels,
        task=contract.task,
        sources=tuple(image.path for image in index.images),
        digests=tuple(image.digest for image in index.images),
        truth=truth_matrix(truth, len(contract.labels)),
        scores=scores,
        thresholds=spec.thresholds if spec else {},
        unknown_below=spec.unknown_below if spec else 0.0,
    )


def _content(
    model: Path,
    runnable: RunnableModel,
    contract: ModelContract,
    index: DatasetIndex,
    evaluations: dict[str, Evaluation],
    options: EvaluateOptions,
    notes: tuple[str, ...],
) -> ReportContent:
    evaluation = evaluations[EVALUATED]
    heat_maps, heat_note = _heat_maps(contract, evaluation)
    counts = tuple(int(n) for n in evaluation.truth.sum(axis=0))
    negatives = int((~evaluation.truth.any(axis=1)).sum())
    return ReportContent(
        title=contract.spec.name if contract.spec else model.name,
        evaluations=evaluations,
        detailed=EVALUATED,
        facts=_facts(model, runnable, contract, index),
        heat_maps=heat_maps,
        heat_note=heat_note,
        composition=Composition(
            labels=contract.labels,
            shares={EVALUATED: counts},
            negatives={EVALUATED: negatives},
            skipped=tuple((file.path, file.reason) for file in index.skipped),
        ),
        notes=(*notes, *contract.warnings),
        command=options.command,
        versions=versions(),
    )


def _heat_maps(contract: ModelContract, evaluation: Evaluation) -> tuple[tuple[HeatMap, ...], str]:
    """Heat maps of some pictures, or why there are none."""
    path = contract.file.path
    try:
        mapper = HeatMapper.of_model(path.read_bytes(), evaluation.task)
        if mapper is None:
            return (), _NO_HEAT
        classifier = Classifier(contract, LoadedModel(path, threads=1))
        examples = heat_examples(evaluation)
        return draw_heat_maps(mapper, evaluation, examples, contract.preprocessing, classifier.tensor), ""
    except (ModelError, OSError) as error:
        return (), f"There are none: {error}"


def _facts(model: Path, runnable: RunnableModel, contract: ModelContract, index: DatasetIndex) -> dict[str, str]:
    pixels = contract.preprocessing
    facts = {
        "model": str(model),
        "file that was run": f"{runnable.path.name}, {runnable.description}",
        "its size": f"{contract.file.size / 1e6:.2f} MB",
        "its SHA-256": hashlib.sha256(runnable.path.read_bytes()).hexdigest(),
        "network": contract.spec.backbone if contract.spec else "",
        "input": f"{pixels.width} x {pixels.height} pixels, {contract.file.inputs[0].dtype}, {pixels.channel_order}",
        "resize": f"{pixels.resize}, {pixels.resample}",
        "normalisation": f"mean {_channels(pixels.mean)}, std {_channels(pixels.std)}, "
        f"from {contract.normalization_from}",
        "labels from": contract.labels_from,
        "pictures": str(index.root),
    }
    return {name: value for name, value in facts.items() if value}


def _channels(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in (values[:1] if len(set(values)) == 1 else values))
