"""The report of a training: everything that a bundle's report.html and metrics.json say."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import ModelError
from runtime.versions import package_version
from toolkit.backbones.layers import is_layered
from toolkit.evaluation import Evaluation
from toolkit.fit import Fitted
from toolkit.heat_maps import HeatMap, HeatMapper, draw_heat_maps, heat_examples
from toolkit.judge import HELD_OUT_RATE, HeldOut, Judged
from toolkit.model_tail import ModelTail, find_tail
from toolkit.options import TrainOptions
from toolkit.prepare import Prepared
from toolkit.records import targets_of
from toolkit.report.content import Composition, ReportContent, Table
from toolkit.report.page import page_template
from toolkit.report.versions import versions
from toolkit.split import Share

_NOT_HELD_OUT = (
    "not measured: a head can be trained again without a class, but the network itself has learned from all of them"
)
_NO_HEAT = "There are none: this network does not end in a global average pool."


def report_content(
    name: str, prepared: Prepared, fitted: Fitted, judged: Judged, options: TrainOptions
) -> ReportContent:
    """Everything but the heat maps, which are added when the report is to be written.

    Args:
        name: of the model.
        prepared: the pictures.
        fitted: the training.
        judged: its figures.
        options: of the training.
    """
    evaluations: dict[str, Evaluation] = {share: e for share, e in judged.evaluations.items() if len(e.sources)}
    detailed = _detailed(judged)
    notes = [str(judged.rejection)] if prepared.index.task == "single-label" else []
    return ReportContent(
        title=name,
        evaluations=evaluations,
        detailed=detailed,
        facts=_facts(prepared, fitted, judged, options),
        charts=fitted.charts,
        reliability={f"{when} temperature scaling": plot for when, plot in judged.reliability.items()},
        reliability_note=_where_measured(fitted, judged),
        composition=_composition(prepared),
        tables=_held_out_table(judged.held_out, judged.head.penalty),
        notes=tuple(notes),
        command=options.command,
        versions=versions() | {"keras": package_version("keras") or ""},
    )


def _detailed(judged: Judged) -> Share:
    """The share that is shown in detail: the first of these that has pictures."""
    order: tuple[Share, ...] = ("test", "validation", "training")
    return next(share for share in order if len(judged.evaluations[share].sources))


@dataclass(frozen=True)
class Heat:
    """Class activation maps of some pictures, or a note that says why there are none."""

    maps: tuple[HeatMap, ...] = ()
    note: str = ""


Tail = Callable[[], "ModelTail | None"]


def begin_report(prepared: Prepared, mode: str, aside: Executor) -> Tail | None:
    """Have another thread do, while the head trains, what the report needs and no head decides.

    Args:
        prepared: the training.
        mode: of it.
        aside: runs it.

    Returns:
        For ``begin_heat_maps``: gives the tail of the backbone, or raises what it raised. None where the backbone is
        trained, too, or TensorFlow has to convert it.
    """
    aside.submit(page_template)
    aside.submit(importlib.import_module, "h5py")  # which model.keras is written with
    if mode != "bottleneck" or not is_layered(prepared.backbone.architecture):
        return None
    return aside.submit(lambda: find_tail(prepared.backbone.tflite(prepared.cache_dir))).result


def begin_heat_maps(
    prepared: Prepared, fitted: Fitted, judged: Judged, tail: Tail | None, aside: Executor
) -> Callable[[], Heat]:
    """Class activation maps of some pictures of the share that is shown in detail.

    Args:
        prepared: the pictures.
        fitted: the training.
        judged: its figures.
        tail: see ``begin_report``.
        aside: draws them from now on; where there is no tail yet, which may take TensorFlow seconds, they are drawn
            when they are asked for.

    Returns:
        Gives them, or raises what drawing them raised.
    """

    def make() -> HeatMapper | None:
        found = tail() if tail is not None else find_tail(fitted.backbone.tflite(prepared.cache_dir))
        return None if found is None else HeatMapper(found, judged.head.layers, judged.head.task)

    def draw(mapper: Callable[[], HeatMapper | None]) -> Heat:
        try:
            found = mapper()
            if found is None:
                return Heat(note=_NO_HEAT)
            evaluation = judged.evaluations[_detailed(judged)]
            return Heat(draw_heat_maps(found, evaluation, heat_examples(evaluation), prepared.preprocessing))
        except ModelError as error:
            return Heat(note=f"There are none: {error}")

    if tail is None:
        return lambda: draw(make)
    made: Future[HeatMapper | None] = Future()
    try:
        # By this thread: making it holds standard error back, and this thread has more to say.
        made.set_result(make())
    except ModelError as error:
        made.set_exception(error)
    return aside.submit(draw, made.result).result


def _facts(prepared: Prepared, fitted: Fitted, judged: Judged, options: TrainOptions) -> dict[str, str]:
    split = options.split
    facts = {
        "network": prepared.backbone.architecture.name,
        "weights": fitted.backbone.origin,
        "mode": options.mode,
        "task": prepared.index.task,
        "pictures": str(prepared.index.root),
        "split": f"{split.validation_percentage:g} % validation, {split.testing_percentage:g} % test",
        "views of each training picture": str(options.view_count),
        "hidden layer": str(options.head.hidden) if options.head.hidden else "",
        "penalty": f"{judged.head.penalty:g}" if judged.head.penalty else "",
        "accuracy by folds": f"{judged.by_folds}: training and validation pictures, each by a head that never saw it"
        if judged.by_folds is not None
        else "",
        "class weights": str(fitted.balance),
        "calibration": str(judged.calibration),
        "unknown": str(judged.rejection),
        "unknown classes": _NOT_HELD_OUT
        if prepared.index.task == "single-label" and fitted.backbone.was_trained
        else "",
        "seed": str(options.seed),
    }
    return {name: value for name, value in facts.items() if value}


def _where_measured(fitted: Fitted, judged: Judged) -> str:
    """Which pictures the calibration was measured on, and who had learned from them."""
    if not judged.reliability:
        return ""
    evidence = fitted.evidence
    if evidence is not None and evidence.held_out is not None:
        shares = " and ".join(share for share in evidence.shares if len(fitted.data[share]))
        text = f"Measured on the {shares} pictures, each answered by a head that never saw it."
    else:
        text = "Measured on the validation pictures, from which no weight was learned."
    return text + " The temperature was fitted on the same answers." * bool(judged.calibration.images)


def _composition(prepared: Prepared) -> Composition:
    index = prepared.index
    shares: tuple[Share, ...] = ("training", "validation", "test")
    images = {share: prepared.images(share) for share in shares}
    groups: dict[str, list[Path]] = {}
    for image in index.images:
        groups.setdefault(image.group, []).append(image.path)
    return Composition(
        labels=index.labels,
        shares={s: tuple(int(n) for n in targets_of(images[s], len(index.labels)).sum(axis=0)) for s in shares},
        negatives={s: sum(not image.class_ids for image in images[s]) for s in shares} if index.negatives else {},
        skipped=tuple((file.path, file.reason) for file in index.skipped),
        duplicates=tuple(tuple(paths) for paths in groups.values() if len(paths) > 1),
    )


def _held_out_table(held_out: dict[str, HeldOut], penalty: float) -> tuple[Table, ...]:
    if not held_out:
        return ()
    rows = tuple(
        (label, _share(h.rejected.correct, h.rejected.images), _share(h.known.correct, h.known.images))
        for label, h in held_out.items()
    )
    return (
        Table(
            "Pictures of classes that the head never saw",
            ("class held out", "of its pictures answered unknown", "of the other test pictures answered unknown"),
            rows,
            f"Each class was left out once, and a linear head with penalty {penalty:g} trained on the others. The "
            f"limit rejects {HELD_OUT_RATE:.0%} of their validation pictures. The network below is the same each time; "
            "it was not trained here.",
        ),
    )


def _share(count: int, images: int) -> str:
    return f"{count / images:.1%} (N={images})" if images else "none there"
