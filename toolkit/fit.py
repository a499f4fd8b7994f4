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
from toolkit.class_balance import ClassBalance
from toolkit.features import FeatureTable, extract_features
from toolkit.head import Floats, Head, Layer, class_weights, image_weights, soft_targets
from toolkit.head_fit import HeadData, HeadFit, fit_head, progress_total
from toolkit.head_training import SMALL
from toolkit.options import TrainOptions
from toolkit.prepare import Notify, Prepared
from toolkit.progress import Progress, progress_bar, silent_progress
from toolkit.records import ImageRecord, targets_of
from toolkit.refit import WAYS, Candidate, as_trained, best, refitted
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
        balance: how classes of different size counted.
        charts: learning curves.
        checkpoints: to be removed when the bundle is written; None where there are none.
    """

    prepared: Prepared
    backbone: Backbone
    head: Head
    evidence: HeadFit | None
    data: dict[Share, HeadData]
    balance: ClassBalance
    charts: tuple[Chart, ...] = ()
    checkpoints: CheckpointStore | None = None

    @property
    def is_small(self) -> bool:
        """Whether one thread is best for products with the features."""
        return self.data["training"].features.nbytes <= SMALL


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
        balance = _balance(prepared, data, trained.class_weights, options)
        return Fitted(prepared, prepared.backbone, trained.head, trained, data, balance, charts)
    return _with_network(prepared, trained, options, reports, notify)


def _with_network(
    prepared: Prepared, trained: HeadFit, options: TrainOptions, reports: StepReports, notify: Notify
) -> Fitted:
    """Train the network from a head on, and take what answers the validation pictures best."""
    result = _tune(prepared, trained.head, options, notify)
    networks = _networks(prepared, result, options)
    notify("Computing the features of the trained network" + ", and on the way to it" * (len(networks) > 1))
    tables = {way: _features(prepared, network) for way, network in networks.items()}
    failures = {digest: reason for table in tables.values() for digest, reason in table.failures.items()}
    if failures:
        prepared = prepared.without(failures)
        if not prepared.split["training"]:
            raise DataError(
                f"the pictures in {shown(prepared.index.root)} were changed or removed while the network was trained; "
                "put them back and the same command goes on from its last checkpoint"
            )
        notify(f"changed or removed while the network was trained, and left out: {len(failures)}")
    task = prepared.index.task
    rows: dict[str, dict[Share, HeadData]] = {}
    candidates: list[Candidate] = []
    for way, network in networks.items():
        shares = {share: replace(prepared, backbone=network, table=tables[way]).data(share) for share in SHARES}
        rows[network.digest] = shares
        if way == 1:
            head = _head(result.head, options, trained.head.penalty)
            candidates.append(as_trained(network, head, shares["validation"], task))
        if len(shares["validation"]) and not options.head.hidden:
            learned, judged = shares["training"], shares["validation"]
            candidates.append(refitted(network, learned, judged, task, options.head, way))
    chosen = best(candidates, notify)
    charts = (*reports.charts(), *_epoch_charts(result.curves))
    evidence, data = chosen.fit, rows[chosen.backbone.digest]
    weights = class_weights(data["training"].truth, options.head.class_weights)
    balance = _balance(prepared, data, weights, options)
    return Fitted(prepared, chosen.backbone, evidence.head, evidence, data, balance, charts, result.checkpoints)


def _balance(
    prepared: Prepared, data: dict[Share, HeadData], weights: Floats | None, options: TrainOptions
) -> ClassBalance:
    counts = [int(count) for count in data["training"].truth.sum(axis=0)]
    return ClassBalance(prepared.index.labels, counts, options.head.class_weights, weights)


def _networks(prepared: Prepared, result: FinetuneResult, options: TrainOptions) -> dict[float, Backbone]:
    """How far from the first weights to the trained ones -> the network there."""
    from toolkit.finetune import blended

    judged = bool(prepared.split["validation"]) and not options.head.hidden  # else nothing could choose
    between = judged and options.mode == "finetune" and options.tuning.batch_norm == "frozen"
    before, after = prepared.backbone, result.backbone
    return {way: after if way == 1 else blended(before, after, way) for way in (WAYS if between else WAYS[:1])}


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
    size = options.tuning.train_size or prepared.preprocessing.height
    return train(
        prepared.backbone,
        tuple((layer.kernel, layer.bias) for layer in head.layers),
        _pictures(prepared, "training", options),
        _pictures(prepared, "validation", options),
        prepared.index.task,
        replace(prepared.preprocessing, height=size, width=size),
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


def _features(prepared: Prepared, backbone: Backbone) -> FeatureTable:
    """Of all pictures by the trained backbone, as the device will compute them."""
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
