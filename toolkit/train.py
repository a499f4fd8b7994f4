"""A folder of pictures to a bundle: prepare, fit, judge, write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.accuracy import Accuracy
from converters.bundle import write_bundle
from runtime.errors import DataError
from runtime.file_kind import shown
from runtime.spec import LabelList, ModelSpec
from runtime.versions import package_version
from toolkit.backbones.registry import Backbone
from toolkit.bundle_files import (
    BundleContent,
    StoredPictures,
    choose_calibration,
    choose_test,
    fill_bundle,
    stored_pictures,
)
from toolkit.evaluation import Evaluation
from toolkit.fit import SHARES, Fitted, fit
from toolkit.head import Head
from toolkit.judge import Judged, hold_out, judge
from toolkit.options import TrainOptions, file_name
from toolkit.prepare import Prepared, prepare
from toolkit.records import ImageRecord, SkippedFile
from toolkit.report.metrics import report_metrics
from toolkit.retrain_progress import RetrainProgress
from toolkit.retrain_reports import StepReports
from toolkit.split import Share
from toolkit.stored_features import StoredFeatures
from toolkit.train_report import report_content, with_heat_maps

#: Test pictures stored in a bundle for checking exports; 1,000 give an interval of +-2 points.
MAX_TEST_PICTURES = 1000


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
    fitted = fit(prepared, options, reports, notify)
    prepared = fitted.prepared
    images = {share: prepared.images(share) for share in SHARES}
    judged = judge(fitted.head, fitted.evidence, fitted.data, images, prepared.index.labels, options.reject)
    notify(f"calibration: {judged.calibration}")
    if prepared.index.task == "single-label":
        notify(f"none of these: {judged.rejection}")
    if judged.by_folds is not None:
        notify(f"each training and validation picture by a head that never saw it: {judged.by_folds}")
    held_out = hold_out(fitted.data, prepared.index.labels, judged.head.penalty, options.head, prepared.index.task)
    judged = replace(judged, held_out=held_out)
    content = _content(prepared, fitted, judged, options, notify)
    written = not content.stands_in(options.output_dir)
    if written:
        notify("Writing the model")
        content = replace(content, report=with_heat_maps(content.report, prepared, fitted, judged))
        write_bundle(options.output_dir, lambda target: fill_bundle(content, target, prepared.cache_dir))
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


def _content(
    prepared: Prepared, fitted: Fitted, judged: Judged, options: TrainOptions, notify: Callable[[str], None]
) -> BundleContent:
    index, head = prepared.index, judged.head
    training = prepared.drawable(prepared.split["training"])
    calibration = choose_calibration(index, training, options.calibration_images, options.seed)
    single = index.task == "single-label"
    test = [p for p in prepared.split["test"] if index.images[p].class_ids or not single]
    kept = choose_test(index, prepared.drawable(test), MAX_TEST_PICTURES, options.seed)
    keep = stored_pictures(index, kept, calibration, prepared.preprocessing, prepared.rehearsal.pictures)
    lost = len(kept) + len(calibration) - len(keep.test_digests) - len(keep.calibration_digests)
    if lost:
        notify(f"changed or removed since they were read, and not kept in the model's folder: {lost} pictures")
    chosen = set(keep.test_digests)
    test.sort(key=lambda p: index.images[p].digest not in chosen)  # those whose pictures are stored come first
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
    metrics = report_metrics(report) | _more_metrics(judged, options)
    scores = dict(zip(judged.evaluations["test"].digests, judged.evaluations["test"].scores, strict=True))
    images: list[ImageRecord] = [index.images[p] for p in test]
    test_scores = [scores[image.digest] for image in images]
    stacked = np.stack(test_scores) if test_scores else np.zeros((0, head.classes), np.float32)
    features = _stored_features(prepared, fitted, options)
    return BundleContent(spec, fitted.backbone, head, index, images, stacked, keep, metrics, report, features)


def _stored_features(prepared: Prepared, fitted: Fitted, options: TrainOptions) -> StoredFeatures:
    return StoredFeatures.collect(
        prepared.index.root,
        {share: prepared.images(share) for share in SHARES},
        {share: fitted.data[share].truth for share in SHARES},
        {share: fitted.data[share].features for share in SHARES},
        options.seed,
    )


def _provenance(
    prepared: Prepared, fitted: Fitted, head: Head, keep: StoredPictures, options: TrainOptions
) -> dict[str, Any]:
    return {
        "dataset": prepared.index.digest(),
        "mode": options.mode,
        "weights": fitted.backbone.digest,
        "model": _model_digest(fitted.backbone, head, keep),
        "toolkit": package_version("edge-export-toolkit") or "from source",
        "keras": package_version("keras"),
        "seed": options.seed,
    }


def _more_metrics(judged: Judged, options: TrainOptions) -> dict[str, Any]:
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
        digest.update(array.tobytes())
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
