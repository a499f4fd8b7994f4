"""What a training by steps reports as it goes: retrain.py's lines, curves, graphs of the unfinished model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from converters.accuracy import Accuracy
from converters.answers import answers
from toolkit.backbones.registry import Backbone
from toolkit.extra_outputs import ExtraOutputs, write_intermediate_graph
from toolkit.head import Head, HeadOptions, cross_entropy
from toolkit.head_fit import RETRAIN_BATCH, HeadData, Step
from toolkit.options import Reports
from toolkit.report.content import Chart, Series
from toolkit.retrain_progress import RetrainProgress, is_due, random_batch

# Reports of a training by steps that asks for none: enough for a curve.
_QUIET_REPORTS = 50


@dataclass
class StepReports:
    """Listens to a training by steps.

    Attributes:
        backbone: of the model, for graphs of it.
        head: options of the training.
        reports: what is asked for.
        outputs: the same.
        seed: of the validation batches.
        write: is given each line.
    """

    backbone: Backbone
    head: HeadOptions
    reports: Reports
    outputs: ExtraOutputs
    seed: int
    write: Callable[[str], object]
    progress: RetrainProgress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = RetrainProgress(self.write if self.reports.interval else lambda _line: None)

    def step(self, step: Step, training: HeadData, validation: HeadData) -> None:
        """Report where that is due, and store a graph where that is."""
        number, last = step.number - 1, (self.head.steps or 1) - 1  # retrain.py counts from 0
        if is_due(number, self.reports.interval or max(1, last // _QUIET_REPORTS), last):
            size = self.head.batch_size or RETRAIN_BATCH
            seed = self.seed + number
            drawn = validation.where(random_batch(len(validation), self.reports.validation_batch, seed))
            train = _figures(step.head, training.where(random_batch(len(training), size, seed)))
            validated = _figures(step.head, drawn)
            self.progress(number, *train, validated[0], len(drawn), validated[1])
        if self.outputs.store_intermediate(number):
            from toolkit.bundle_files import grafted_model

            write_intermediate_graph(self.outputs, number, grafted_model(self.backbone, step.head))

    def charts(self) -> tuple[Chart, ...]:
        """The curves so far."""
        points = self.progress.points
        if not points:
            return ()
        steps = [point.step for point in points]
        nan = float("nan")

        def series(name: str, values: list[float | None]) -> Series:
            return Series(name, steps, [nan if value is None else value for value in values])

        losses = (
            series("training batch", [point.cross_entropy for point in points]),
            series("validation", [point.validation_cross_entropy for point in points]),
        )
        accuracies = (
            series("training batch", [point.train_accuracy for point in points]),
            series("validation", [point.validation_accuracy for point in points]),
        )
        return (
            Chart("Cross-entropy while the head was trained", "step", "nats", losses),
            Chart("Accuracy while the head was trained", "step", "accuracy", accuracies, percent=True),
        )


def _figures(head: Head, data: HeadData) -> tuple[float, float]:
    """Accuracy, 0..1, and cross-entropy in nats."""
    scores = head.scores(data.features)
    least = (0.5,) * head.classes
    return Accuracy.of(answers(scores, head.task, least), data.truth).value, cross_entropy(
        scores, data.truth, head.task
    )
