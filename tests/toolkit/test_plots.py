"""Plots are sound SVG whose points lie where the numbers say."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from converters.accuracy import Accuracy
from runtime.errors import DataError
from toolkit.reliability import reliability
from toolkit.report.content import Chart, Series
from toolkit.report.plots import interval_bar, line_chart, reliability_plot


def chart(*series: Series, percent: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(line_chart(Chart("<t> & 'q'", "x <", 'y "', series, percent)))


def points(element: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The runs of each line."""
    lines = [e.attrib["d"] for e in element.iter() if e.tag == "path" and e.attrib["class"].startswith("line")]
    found = []
    for run in "".join(lines).split("M")[1:]:
        found.append([(float(x), float(y)) for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", run)])
    return found


def texts(element: ElementTree.Element) -> list[str]:
    return [e.text or "" for e in element.iter("text")]


def test_a_line_falls_where_the_loss_falls() -> None:
    svg = chart(Series("loss", [1, 2, 3], [2.0, 1.0, 0.5]))
    ((first, second, third),) = points(svg)
    assert first[0] < second[0] < third[0]
    assert first[1] < second[1] < third[1], "SVG counts downwards"
    assert (third[1] - second[1]) * 2 == pytest.approx(second[1] - first[1], abs=0.3)
    width, height = (float(n) for n in svg.attrib["viewBox"].split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in (first, second, third))
    assert {"1", "2", "3", "0.5", "1.5"} <= set(texts(svg))
    assert {"x <", 'y "'} <= set(texts(svg))


def test_gaps_single_points_and_nothing() -> None:
    runs = points(chart(Series("gap", [0, 1, 2, 3, 4], [1, 2, float("nan"), 2, float("inf")])))
    assert [len(run) for run in runs] == [2, 1]
    svg = chart(Series("one", [7], [0.5]), percent=True)
    assert len(list(svg.iter("circle"))) == 1
    assert "7" in texts(svg)
    assert line_chart(Chart("t", "x", "y", (Series("none", [1], [float("nan")]),))) == ""
    assert line_chart(Chart("t", "x", "y", ())) == ""


def test_long_series_keep_their_ends() -> None:
    xs = list(range(100_000))
    svg = chart(Series("long", xs, [float(x) for x in xs]))
    (run,) = points(svg)
    assert len(run) < 300
    assert run[0][0] == pytest.approx(50)
    assert run[-1][0] == pytest.approx(338)


@pytest.mark.parametrize(
    "values", [[0.0, 0.0], [1.0, 1.0], [-3.0, -3.0], [1e-9, 2e-9], [1e9, 2e9], [0.1, 0.30000000000000004]]
)
def test_any_range_has_few_short_ticks(values: list[float]) -> None:
    labels = texts(chart(Series("s", [0, 1], values)))
    assert 4 <= len(labels) <= 22
    assert max(map(len, labels)) <= 8


def test_per_cent_stays_on_the_scale() -> None:
    labels = [text for text in texts(chart(Series("s", [0, 1], [0.97, 1.0]), percent=True)) if text.endswith("%")]
    assert labels[-1] == "100 %"


def test_series_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="has 2 x and 1 y"):
        Series("s", [1, 2], [1])


def test_reliability_plot() -> None:
    scores = np.array([[0.9, 0.1]] * 8 + [[0.6, 0.4]] * 2, np.float32)
    truth = np.array([[True, False]] * 6 + [[False, True]] * 4)
    svg = ElementTree.fromstring(reliability_plot({"before": reliability(scores, truth)}))
    low, high = svg.iter("circle")
    assert float(low.attrib["cx"]) < float(high.attrib["cx"])
    assert float(low.attrib["cy"]) > float(high.attrib["cy"])
    assert float(low.attrib["r"]) < float(high.attrib["r"])
    assert [e.text for e in svg.iter("title")] == [
        "2 answers, score 60%, right 0%",
        "8 answers, score 90%, right 75%",
    ]


def test_interval_bar() -> None:
    svg = ElementTree.fromstring(interval_bar(Accuracy(90, 100)))
    bars = {e.attrib["class"]: e.attrib for e in svg.iter("rect")}
    low, high = Accuracy(90, 100).interval()
    assert bars["value"]["width"] == "90.00"
    assert float(bars["interval"]["x"]) == pytest.approx(100 * low, abs=0.01)
    assert float(bars["interval"]["width"]) == pytest.approx(100 * (high - low), abs=0.01)
    assert [e.attrib["class"] for e in ElementTree.fromstring(interval_bar(Accuracy(0, 0)))] == ["track"]
