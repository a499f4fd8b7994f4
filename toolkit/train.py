"""A folder of pictures to a bundle: prepare, fit, judge, write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.accuracy import Accuracy
from converters.bundle import write_bundle
from runtime.errors import DataError
from runtime.file_kind import shown
from runtime.spec import LabelList, ModelSpec
from runtime.versions import our_version, package_version
from toolkit.backbones.registry import Backbone
from toolkit.blas_threads import one_blas_thread
from toolkit.bundle_files import BundleContent, fill_bundle
from toolkit.evaluation import Evaluation
from toolkit.fit import SHARES, Fitted, fit
from toolkit.head import Head
from toolkit.judge import Judged, hold_out, judge
from toolkit.options import TrainOptions, file_name
from toolkit.prepare import Prepared, prepare
from toolkit.records import SkippedFile
from toolkit.report.content import ReportContent
from toolkit.report.metrics import report_metrics
from toolkit.retrain_progress import RetrainProgress
from toolkit.retrain_reports import StepReports
from toolkit.split import Share
from toolkit.stored_features import StoredFeatures
from toolkit.stored_pictures import StoredPictures, choose_pictures, load_pictures
from toolkit.train_report import Heat, begin_heat_maps, begin_report, report_content


@dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        folder: of the bundle.
        spec: of the model.
        evaluations: share -> answers.
        skipped: files that were not used.
        images: number of pictures used.
        from_cache: of how many nothing was computed now.
        seconds: that computing features took.
        written: False where the folder already held this very model.
        extra: files and folders written beside the bundle.
    """

    folder: Path
    spec: ModelSpec
    evaluations: dict[Share, Evaluation]
    skipped: tuple[SkippedFile, ...]
    images: int
    from_cache: int
    seconds: float
    written: bool
    extra: tuple[Path, ...] = ()

    @property
    def accuracy(self) -> dict[Share, Accuracy]:
        """Of each share."""
        return {share: evaluation.accuracy for share, evaluation in self.evaluations.items()}


def _ignore(_message: str) -> None:
    pass


def train(image_dir: Path, options: TrainOptions | None = None, notify: Callable[[str], None] = _ignore) -> TrainResult:
    """Train a classifier on a folder that has one folder of pictures for each class.

    Args:
        image_dir: the folder.
        options: None takes the defaults.
        notify: is told in one line what happens at each step.

    Returns:
        Accuracies and where the bundle is; the bundle is whole or absent whenever the process ends.

    Raises:
        EdgeExportError: any of its kinds; nothing is lost: features computed so far stay in the cache, and
            checkpoints of the network where they are.
    """
    options = options or TrainOptions()
    prepared = prepare(image_dir, options, notify)
    if prepared.earlier is not None:
        options = prepared.earlier.options(options)
    reports = StepReports(prepared.backbone, options.head, options.reports, options.outputs, options.seed, write=notify)
    with ThreadPoolExecutor(1) as aside:
        loading = aside.submit(_pictures, prepared, options)
        tail = begin_report(prepared, options.mode, aside)
        fitted = fit(prepared, options, reports, notify)
        if fitted.balance.uneven:
            notify(str(fitted.balance))
        keep, lost = loading.result()
        if lost:
            notify(f"changed or removed since they were read, and not kept in the model's folder: {lost} pictures")
        with one_blas_thread() if fitted.is_small else nullcontext():
            judged = _judge(fitted, options, notify)
            heat = begin_heat_maps(fitted.prepared, fitted, judged, tail, aside)
            judged = _hold_out(judged, fitted, options)
            content = _content(fitted.prepared, fitted, judged, keep, options)
            written = _write(content, heat, options.output_dir, fitted.prepared.cache_dir, notify)
    prepared = fitted.prepared
    extra = _extra_outputs(prepared, fitted, judged, options, reports.progress)
    if fitted.checkpoints is not None:  # only now is there nothing left to be killed in
        fitted.checkpoints.remove()
    return TrainResult(
        options.output_dir,
        content.spec,
        judged.evaluations,
        prepared.index.skipped,
        len(prepared.index.images),
        prepared.table.from_cache,
        prepared.table.seconds,
        written,
        extra,
    )


def _judge(fitted: Fitted, options: TrainOptions, notify: Callable[[str], None]) -> Judged:
    """What the head is worth, said as well."""
    prepared = fitted.prepared
    images = {share: prepared.images(share) for share in SHARES}
    judged = judge(fitted.head, fitted.evidence, fitted.data, images, prepared.index.labels, options.reject)
    notify(f"calibration: {judged.calibration}")
    if prepared.index.task == "single-label":
        notify(f"none of these: {judged.rejection}")
    if judged.by_folds is not None:
        notify(f"each training and validation picture by a head that never saw it: {judged.by_folds}")
    return judged


def _hold_out(judged: Judged, fitted: Fitted, options: TrainOptions) -> Judged:
    """The same with what becomes of classes that the head never saw, where the network never saw them either."""
    if fitted.backbone.was_trained:
        return judged
    index = fitted.prepared.index
    return replace(judged, held_out=hold_out(fitted.data, index.labels, judged.head.penalty, options.head, index.task))


def _write(
    content: BundleContent, heat: Callable[[], Heat], folder: Path, cache_dir: Path, notify: Callable[[str], None]
) -> bool:
    """Write the bundle; False where the folder holds this very model."""
    if content.stands_in(folder):
        return False
    notify("Writing the model")

    def illustrate(report: ReportContent) -> ReportContent:
        drawn = heat()
        return replace(report, heat_maps=drawn.maps, heat_note=drawn.note)

    write_bundle(folder, lambda target: fill_bundle(content, target, cache_dir, illustrate))
    return True


def _pictures(prepared: Prepared, options: TrainOptions) -> tuple[StoredPictures, int]:
    """The pictures for the bundle, and how many could not be had any more.

    They are decoded only where neither the training nor the old bundle has them.
    """
    index, seen, rehearsed = prepared.index, prepared.pixels, prepared.rehearsal
    choice = choose_pictures(index, prepared.split, options.calibration_images, options.seed, rehearsed.drawable)
    digests = [index.images[position].digest for position in (*choice.test, *choice.calibration)]
    before = None
    if any(digest not in seen for digest in digests):
        before = StoredPictures.of_bundle(options.output_dir, prepared.preprocessing, our_version())
    old = before.by_digest if before is not None else {}

    def ready(digest: str) -> NDArray[Any] | None:
        for place in (seen, rehearsed.pictures, old):
            if place.get(digest) is not None:
                return place[digest]
        return None

    pictures = load_pictures(index, choice, prepared.preprocessing, ready)
    seen.clear()
    return pictures, len(digests) - len(pictures.test_digests) - len(pictures.calibration_digests)


def _content(
    prepared: Prepared, fitted: Fitted, judged: Judged, keep: StoredPictures, options: TrainOptions
) -> BundleContent:
    index, head = prepared.index, judged.head
    keep = keep.of({image.digest for image in index.images})  # less those that were lost since
    stored = {digest: number for number, digest in enumerate(keep.test_digests)}
    test = [image for image in prepared.images("test") if image.class_ids or index.task != "single-label"]
    test.sort(key=lambda image: stored.get(image.digest, len(stored)))  # the others stay in order behind them
    name = options.name or file_name(index.root.resolve().name) or "model"
    spec = ModelSpec(
        name=name,
        backbone=prepared.backbone.architecture.name,
        task=index.task,
        preprocessing=prepared.preprocessing,
        labels=LabelList(index.labels),
        thresholds=judged.thresholds,
        unknown_below=judged.rejection.unknown_below,
        provenance=_provenance(prepared, fitted, head, keep, options),
    )
    report = report_content(name, prepared, fitted, judged, options)
    metrics = report_metrics(report) | _more_metrics(fitted, judged, options)
    scores = dict(zip(judged.evaluations["test"].digests, judged.evaluations["test"].scores, strict=True))
    test_scores = [scores[image.digest] for image in test]
    stacked = np.stack(test_scores) if test_scores else np.zeros((0, head.classes), np.float32)
    features = _stored_features(prepared, fitted, options)
    return BundleContent(spec, fitted.backbone, head, index, test, stacked, keep, metrics, report, features)


def _stored_features(prepared: Prepared, fitted: Fitted, options: TrainOptions) -> StoredFeatures:
    return StoredFeatures.collect(
        prepared.index.root,
        {share: prepared.images(share) for share in SHARES},
        {share: fitted.data[share].truth for share in SHARES},
        {share: fitted.data[share].features for share in SHARES},
        prepared.signatures,
        options.seed,
    )


def _provenance(
    prepared: Prepared, fitted: Fitted, head: Head, keep: StoredPictures, options: TrainOptions
) -> dict[str, Any]:
    return {
        "dataset": prepared.index.digest(),
        "mode": options.mode,
        "pooling": fitted.backbone.architecture.pooling,
        "weights": fitted.backbone.digest,
        "model": _model_digest(fitted.backbone, head, keep),
        "toolkit": our_version(),
        "keras": package_version("keras"),
        "seed": options.seed,
    }


def _more_metrics(fitted: Fitted, judged: Judged, options: TrainOptions) -> dict[str, Any]:
    """Figures that the report shows as sentences."""
    return {
        "penalty": judged.head.penalty,
        "accuracy_by_folds": None if judged.by_folds is None else judged.by_folds.to_json(),
        "temperature": judged.calibration.to_json(),
        "rejection": judged.rejection.to_json(),
        "held_out": {
            label: {"rejected": held.rejected.to_json(), "known_rejected": held.known.to_json()}
            for label, held in judged.held_out.items()
        },
        "class_weights": fitted.balance.to_json(),
        "thresholds": dict(judged.thresholds),
        "split": {
            "validation_percentage": options.split.validation_percentage,
            "testing_percentage": options.split.testing_percentage,
        },
    }


def _model_digest(backbone: Backbone, head: Head, keep: StoredPictures) -> str:
    """Changes with anything that a conversion of the bundle depends on."""
    digest = hashlib.sha256(backbone.digest.encode())
    weights = [array for layer in head.layers for array in (layer.kernel, layer.bias)]
    for array in (*weights, keep.calibration, keep.test):
        digest.update(np.ascontiguousarray(array).data)  # as it lies there: a copy takes half as long again
    return digest.hexdigest()


def _extra_outputs(
    prepared: Prepared, fitted: Fitted, judged: Judged, options: TrainOptions, progress: RetrainProgress
) -> tuple[Path, ...]:
    outputs = options.outputs
    if outputs.output_graph is outputs.output_labels is outputs.saved_model_dir is outputs.tensorboard is None:
        return ()
    from toolkit.extra_outputs import write_extra_outputs
    from toolkit.train_board import training_board

    board = training_board(prepared, fitted, judged, progress) if outputs.tensorboard is not None else None
    try:
        return write_extra_outputs(options.output_dir, outputs, board)
    except DataError as error:
        raise DataError(f"{error}; the model itself is safe in {shown(options.output_dir)}") from error
