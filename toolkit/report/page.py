"""Renders a report as one HTML file that needs nothing else: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.accuracy import Accuracy
from converters.atomic import write_bytes
from toolkit.evaluation import Evaluation, Example
from toolkit.heat_maps import HeatMap
from toolkit.report import plots
from toolkit.report.confusion import confusion_view, label_tables, most_confused
from toolkit.report.content import ReportContent
from toolkit.report.thumbnails import data_uri, thumbnails

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).with_name("templates")
#: A page lists at most so many skipped files and groups of copies; metrics.json has them all.
MAX_LISTED = 200
# Control characters, lone surrogates, and line and paragraph separators: what HTML cannot hold or a line is broken by.
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the order of letters round: embeddings, overrides and isolates of the Unicode bidirectional algorithm
# (https://www.unicode.org/reports/tr9/, table 4). Scripts written from the right need none of them in a name.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Tile:
    """A picture with what was answered: address of a JPEG (None: unreadable), label, score, true labels, file name."""

    picture: str | None
    answer: str
    score: float
    truth: tuple[str, ...]
    name: str
    overlays: tuple[tuple[str, float, str], ...] = ()


def write_report(content: ReportContent, path: Path) -> None:
    """Write the page, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    write_bytes(path, render_report(content).encode("utf-8"))


def render_report(content: ReportContent) -> str:
    """The page's text; the same content always gives the same text."""
    evaluation = content.evaluation
    mistakes, hits = _tiles(
        evaluation, (evaluation.mistakes(content.examples), evaluation.narrow_hits(content.examples))
    )
    return page_template().render(
        content=content,
        evaluation=evaluation,
        style=(_TEMPLATES / "report.css").read_text("utf-8"),
        accuracies=[(share, e.accuracy, plots.interval_bar(e.accuracy)) for share, e in content.evaluations.items()],
        figures=_headline(evaluation),
        classes=sorted(evaluation.per_class, key=lambda c: (c.support == 0, c.f1 or 0.0)),
        confusion=None if evaluation.multi_label else confusion_view(evaluation),
        confused=() if evaluation.multi_label else most_confused(evaluation),
        label_tables=label_tables(evaluation) if evaluation.multi_label else (),
        charts=[(chart, plot) for chart in content.charts if (plot := plots.line_chart(chart))],
        colours=plots.LINE_COLOURS,
        reliability=_reliability(content),
        mistakes=mistakes,
        hits=hits,
        heat_maps=[_heat_tile(evaluation, heat_map) for heat_map in content.heat_maps],
        limit=MAX_LISTED,
    )


@cache
def page_template() -> Template:
    """The page without its content; the first call takes 40 ms, which another thread can spend beforehand."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"visible": visible, "percent": percent, "cell": plain_number}
    return environment.get_template("report.html")


def _reliability(content: ReportContent) -> dict[str, Any]:
    curves = dict(content.reliability)
    if not curves and content.evaluation.reliability.answers:
        curves = {content.detailed: content.evaluation.reliability}
    return {"curves": curves, "plot": plots.reliability_plot(curves) if curves else ""}


def _headline(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """The few numbers at the top: name, value, and what it is out of."""
    macro, count = evaluation.macro, evaluation.accuracy
    if evaluation.multi_label:
        figures = [
            ("exact match", _share(count), f"N = {count.images}"),
            ("mean average precision", percent(macro["average_precision"]), "mean over the labels"),
            ("F1", percent(macro["f1"]), "mean over the labels"),
        ]
    else:
        figures = [
            ("accuracy", _share(count), f"N = {count.images}"),
            ("F1", percent(macro["f1"]), "mean over the classes"),
        ]
    error = evaluation.reliability
    points, chance = f"{100 * error.error:.1f} points", f"expected; {100 * error.chance:.1f} by chance"
    figures.append(("calibration error", points if error.answers else "–", chance if error.answers else "expected"))
    if evaluation.unknown_below > 0:
        rejected = evaluation.rejected
        where = f"{rejected.correct} of {rejected.images}, best score under {evaluation.unknown_below:.2f}"
        figures.append(("answered unknown", _share(rejected), where))
    if evaluation.negatives.images and not evaluation.multi_label:
        negatives = evaluation.negatives
        where = f"{negatives.correct} of {negatives.images} pictures of no class"
        figures.append(("negatives found out", _share(negatives), where))
    return figures


def _tiles(evaluation: Evaluation, groups: Sequence[Sequence[Example]]) -> list[list[Tile]]:
    """Tiles of several groups of examples, their pictures decoded together."""
    wanted = [example.position for group in groups for example in group]
    small = iter(thumbnails([(evaluation.sources[p], evaluation.digests[p]) for p in wanted]))
    return [[_tile(evaluation, example, next(small)) for example in group] for group in groups]


def _tile(evaluation: Evaluation, example: Example, jpeg: bytes | None) -> Tile:
    return Tile(
        picture=None if jpeg is None else data_uri(jpeg),
        answer=evaluation.labels[example.class_id],
        score=example.score,
        truth=tuple(evaluation.labels[c] for c in example.truth),
        name=evaluation.sources[example.position].name,
    )


def _heat_tile(evaluation: Evaluation, heat_map: HeatMap) -> Tile:
    plain = _tile(evaluation, heat_map.example, heat_map.jpeg)
    overlays = tuple((evaluation.labels[o.class_id], o.score, data_uri(o.jpeg)) for o in heat_map.overlays)
    return Tile(plain.picture, plain.answer, plain.score, plain.truth, plain.name, overlays)


def visible(text: object) -> str:
    """A text in which every character can be seen: what cannot, or would break a line, comes as an escape."""
    return "".join(_escape(c) if c in _TURNING or unicodedata.category(c) in _HIDDEN else c for c in str(text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def percent(value: float | None) -> str:
    """A share, 0..1, in per cent; a dash where there is none."""
    return "–" if value is None or value != value else f"{100 * value:.1f} %"


def plain_number(value: int) -> str:
    """A count with thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def _share(counts: Accuracy) -> str:
    return percent(counts.value)
