"""What goes into a report: plain data, filled by ``toolkit train`` and ``toolkit evaluate`` alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runtime.errors import DataError
from toolkit.evaluation import Evaluation
from toolkit.heat_maps import HeatMap
from toolkit.reliability import Reliability

#: Share of an evaluation that no training took part in.
EVALUATED = "evaluated"


@dataclass(frozen=True)
class Series:
    """A named line: y over x, both of one length; what is no number leaves a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(f"the series {self.name!r} has {len(self.x)} x and {len(self.y)} y")


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Attributes:
        title: what is shown.
        x_label: of the horizontal axis, with its unit.
        y_label: of the vertical axis, with its unit.
        series: the lines.
        percent: whether y is a share, 0..1, that is shown in per cent.
        note: a sentence below it.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    percent: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Texts in rows; the first column is flush left, the others flush right."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Composition:
    """What the folder of pictures holds.

    Attributes:
        labels: of its classes.
        shares: share -> number of pictures of each class in it.
        negatives: share -> number of pictures of no class in it.
        skipped: path and reason of each file that was not used.
        duplicates: groups of pictures that look the same and were kept on one side of the split.
        notes: sentences on it.
    """

    labels: tuple[str, ...]
    shares: Mapping[str, tuple[int, ...]]
    negatives: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[tuple[Path, str], ...] = ()
    duplicates: tuple[tuple[Path, ...], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportContent:
    """All that a report shows.

    Attributes:
        title: name of the model.
        evaluations: share -> answers on it, in the order they are shown; not empty.
        detailed: the share that confusion matrix, class figures and examples are about.
        facts: name -> value, about the model and how it was made.
        charts: learning curves.
        reliability: name -> bins, for the calibration plot; empty takes those of the detailed share.
        reliability_note: on which pictures they were measured.
        heat_maps: of pictures of the detailed share.
        heat_note: why there are none, where there are none.
        composition: of the data set; None leaves the part out.
        tables: further ones, at the end.
        notes: what the reader should know first, one sentence each.
        command: as it was typed.
        versions: package -> version.
        examples: number of mistakes, and of narrow hits, that are shown.
    """

    title: str
    evaluations: Mapping[str, Evaluation]
    detailed: str
    facts: Mapping[str, str] = field(default_factory=dict)
    charts: tuple[Chart, ...] = ()
    reliability: Mapping[str, Reliability] = field(default_factory=dict)
    reliability_note: str = ""
    heat_maps: tuple[HeatMap, ...] = ()
    heat_note: str = ""
    composition: Composition | None = None
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    examples: int = 12

    def __post_init__(self) -> None:
        if self.detailed not in self.evaluations:
            raise DataError(f"a report on {self.detailed!r} has evaluations of {', '.join(self.evaluations) or 'none'}")

    @property
    def evaluation(self) -> Evaluation:
        """The one that is shown in detail."""
        return self.evaluations[self.detailed]
