"""The second half of a training, by mode: a head on cached features, and with it the backbone where asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from runtime.errors import DataError
from runtime.file_kind import shown
from toolkit.backbones.registry import Backbone
from toolkit.features import FeatureTable, extract_features
from toolkit.head import Head, Layer, image_weights, soft_targets
from toolkit.head_fit import HeadData, HeadFit, fit_head, progress_total
from toolkit.options import TrainOptions
from toolkit.prepare import Notify, Prepared
from toolkit.progress import Progress, progress_bar, silent_progress
from toolkit.records import ImageRecord, targets_of
from toolkit.refit import best_head
from toolkit.report.content import Chart, Series
from toolkit.retrain_reports import StepReports
from toolkit.split import Share

if TYPE_CHECKING:  # what trains the network is loaded where it does
    from toolkit.checkpoint import CheckpointStore
    from toolkit.finetune import FinetuneResult
    from toolkit.training.loop import EpochFigures
    from toolkit.training.pictures import Share as PictureShare


@dataclass(frozen=True)
class Fitted:
    """What training gave, whatever its mode.

    Attributes:
        prepared: what was trained on, less pictures that were lost on the way.
        backbone: with its final weights.
        head: trained.
        evidence: logits and truth of pictures by heads that never saw them; None leaves that to the validation share.
        data: features by that backbone and truth of each share, a row a picture.
        charts: learning curves.
        checkpoints: to be removed when the bundle is written; None where there are none.
    """

    prepared: Prepared
    backbone: Backbone
    head: Head
    evidence: HeadFit | None
    data: dict[Share, HeadData]
    charts: tuple[Chart, ...] = ()
    checkpoints: CheckpointStore | None = None


SHARES: tuple[Share, ...] = ("training", "validation", "test")


def fit(prepared: Prepared, options: TrainOptions, reports: StepReports, notify: Notify) -> Fitted:
    """Train as the mode says.

    Args:
        prepared: pictures and features.
        options: of the training.
        reports: is told each step of a training by steps.
        notify: is told in one line what happens.
    """
    data = {share: prepared.data(share) for share in SHARES}
    if options.mode == "scratch":
        from toolkit.finetune import zero_head

        layers = zero_head(prepared.width, len(prepared.index.labels), options.head.hidden, options.seed)
        trained = HeadFit(_head(layers, options))
    else:
        trained = _train_head(prepared, data, options, reports)
    if options.mode == "bottleneck":
        charts = (*_penalty_chart(trained), *reports.charts())
        return Fitted(prepared, prepared.backbone, trained.head, trained, data, charts)
    result = _tune(prepared, trained.head, options, notify)
    table = _features(prepared, result.backbone, notify)
    if table.failures:
        prepared = prepared.without(table.failures)
        if not prepared.split["training"]:
            raise DataError(
                f"the pictures in {shown(prepared.index.root)} were changed or removed while the network was trained; "
                "put them back and the same command goes on from its last checkpoint"
            )
        notify(f"changed or removed while the network was trained, and left out: {len(table.failures)}")
    tuned = replace(prepared, backbone=result.backbone, table=table)
    rows = {share: tuned.data(share) for share in SHARES}
    tuned_head = _head(result.head, options, trained.head.penalty)
    head = best_head(tuned_head, rows["training"], rows["validation"], prepared.index.task, options.head, notify)
    charts = (*reports.charts(), *_epoch_charts(result.curves))
    return Fitted(prepared, result.backbone, head, None, rows, charts, result.checkpoints)


def _train_head(
    prepared: Prepared, data: dict[Share, HeadData], options: TrainOptions, reports: StepReports
) -> HeadFit:
    total, unit = progress_total(options.head)
    # Reports are progress enough, and a bar between them would be torn to pieces.
    shown: AbstractContextManager[Progress] = (
        silent_progress() if options.reports.interval else progress_bar("Training the head", total, unit=unit)
    )
    # A network that is trained next is judged by the validation share: its head must not have learned from that.
    alone = options.mode == "bottleneck"
    start = None if prepared.earlier is None else prepared.earlier.start(len(prepared.index.labels), 0)
    with shown as bar:
        return fit_head(
            prepared.data("training", views=True),
            prepared.data("validation", views=alone) if not options.head.hidden else data["validation"],
            prepared.index.task,
            options.head,
            bar.update,
            lambda step: reports.step(step, data["training"], data["validation"]),
            learn_validation=alone,
            start=start,
        )


def _penalty_chart(trained: HeadFit) -> tuple[Chart, ...]:
    if not trained.losses:
        return ()
    penalties, losses = zip(*sorted(trained.losses), strict=True)
    line = Series("held-out pictures", [math.log10(penalty) for penalty in penalties], losses)
    note = "Each picture is judged by a head that never saw it; the lowest point was taken."
    return (
        Chart("Choosing the penalty of the head", "log10 of the penalty", "cross-entropy, nats", (line,), note=note),
    )


def _tune(prepared: Prepared, head: Head, options: TrainOptions, notify: Notify) -> FinetuneResult:
    from toolkit.finetune import finetune, scratch

    train = finetune if options.mode == "finetune" else scratch
    return train(
        prepared.backbone,
        tuple((layer.kernel, layer.bias) for layer in head.layers),
        _pictures(prepared, "training", options),
        _pictures(prepared, "validation", options),
        prepared.index.task,
        prepared.preprocessing,
        options.tuning,
        prepared.cache_dir / "checkpoints",
        notify,
        options.resume,
    )


def _pictures(prepared: Prepared, share: Share, options: TrainOptions) -> PictureShare:
    from toolkit.training.pictures import Share as PictureShare

    images: Sequence[ImageRecord] = prepared.images(share)
    truth = targets_of(images, len(prepared.index.labels))
    task = prepared.index.task
    weights = image_weights(truth, task, options.head.class_weights if share == "training" else "none")
    return PictureShare(images, soft_targets(truth, task), weights)


def _features(prepared: Prepared, backbone: Backbone, notify: Notify) -> FeatureTable:
    """Of all pictures by the trained backbone, as the device will compute them."""
    notify("Computing the features of the trained network")
    return extract_features(backbone, prepared.preprocessing, prepared.index.images, prepared.cache_dir)


def _head(layers: tuple[tuple[np.ndarray, np.ndarray], ...], options: TrainOptions, penalty: float = 0.0) -> Head:
    return Head(tuple(Layer(kernel, bias) for kernel, bias in layers), options.task, penalty)


def _epoch_charts(curves: Sequence[EpochFigures]) -> tuple[Chart, ...]:
    epochs = [point.epoch for point in curves]
    losses = (
        Series("training (views, smoothed)", epochs, [point.training_loss for point in curves]),
        Series("validation", epochs, [point.validation_loss for point in curves]),
    )
    accuracy = Series("validation", epochs, [point.validation_accuracy for point in curves])
    return (
        Chart("Cross-entropy while the network was trained", "epoch", "nats", losses),
        Chart("Accuracy while the network was trained", "epoch", "accuracy", (accuracy,), percent=True),
    )
