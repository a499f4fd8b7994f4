"""Plots as small SVG texts: no plotting library, whose import alone takes longer than the whole report.

Colours and fonts come from the page's style sheet by class names, so that plots follow its light and dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from converters.accuracy import Accuracy
from toolkit.reliability import Reliability
from toolkit.report.content import Chart, Series

# Size of a plot in its own units; on a telephone a unit is a CSS pixel.
_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 22, 12, 40
#: Different colours of lines in the style sheet; after that they come again, dashed.
LINE_COLOURS = 6
_BAR = '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none"'
# More points than this cannot be told apart in a plot.
_MAX_POINTS = 240


def line_chart(chart: Chart) -> str:
    """A chart's lines with axes; an empty text where there is nothing to draw."""
    lines = [(_points(series), number) for number, series in enumerate(chart.series)]
    xs = [x for points, _ in lines for x, y in points if math.isfinite(y)]
    ys = [y for points, _ in lines for _, y in points if math.isfinite(y)]
    if not ys:
        return ""
    low, high = (min(ys), max(ys))
    if chart.percent:
        low, high = max(0.0, low - 0.02), min(1.0, high + 0.02)
    y_ticks = _ticks(low, high, 5)
    left, right = min(xs), max(xs)
    ticks = _ticks(left, right, 6, whole=all(float(x).is_integer() for x in xs))
    x_ticks = [x for x in ticks if left <= x <= right] if left < right else [left]
    frame = _Frame(*((left, right) if left < right else (left - 1, left + 1)), y_ticks[0], y_ticks[-1])
    y_text = _percent if chart.percent else _plain
    parts = [frame.axes(x_ticks, y_ticks, _plain, y_text), frame.titles(chart.x_label, chart.y_label)]
    parts += [_line(points, frame, number) for points, number in lines]
    return _svg("".join(parts), f"{chart.title}: {chart.y_label} over {chart.x_label}")


def reliability_plot(curves: Mapping[str, Reliability]) -> str:
    """Accuracy over confidence with the diagonal; the larger a dot, the more answers it stands for."""
    frame = _Frame(0, 1, 0, 1)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    parts = [frame.axes(ticks, ticks, _percent, _percent), frame.titles("score of the answer", "share that is right")]
    parts.append(f'<path class="ideal" d="M{frame.x(0):.1f} {frame.y(0):.1f}L{frame.x(1):.1f} {frame.y(1):.1f}"/>')
    for number, curve in enumerate(curves.values()):
        points = [(b.confidence, b.accuracy) for b in curve.bins]
        parts.append(f'<g class="thin">{_path(points, frame, number)}</g>')
        for b in curve.bins:
            radius = 1.5 + 5 * math.sqrt(b.count / max(1, curve.answers))
            tip = f"{b.count} answers, score {b.confidence:.0%}, right {b.accuracy:.0%}"
            parts.append(
                f'<circle class="dot c{number % LINE_COLOURS}" cx="{frame.x(b.confidence):.1f}" '
                f'cy="{frame.y(b.accuracy):.1f}" r="{radius:.1f}"><title>{tip}</title></circle>'
            )
    return _svg("".join(parts), "share of right answers over their score")


def interval_bar(accuracy: Accuracy) -> str:
    """A share with its 95 % interval on a scale from 0 to 100 %."""
    if not accuracy.images:
        return f'{_BAR}><rect class="track" width="100" height="8"/></svg>'
    low, high = (100 * n for n in accuracy.interval())
    value = 100 * accuracy.value
    return (
        f'{_BAR} role="img" aria-label="{value:.1f} %">'
        f'<rect class="track" width="100" height="8"/><rect class="value" width="{value:.2f}" height="8"/>'
        f'<rect class="interval" x="{low:.2f}" width="{max(0.4, high - low):.2f}" y="2.5" height="3"/></svg>'
    )


class _Frame:
    """Places values of a plot's two axes."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.x_low, self.x_span = x_low, (x_high - x_low) or 1.0
        self.y_low, self.y_span = y_low, (y_high - y_low) or 1.0

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_low) / self.x_span * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - self.y_low) / self.y_span * (_HEIGHT - _TOP - _BOTTOM)

    def axes(
        self,
        x_ticks: Sequence[float],
        y_ticks: Sequence[float],
        x_text: Callable[[float], str],
        y_text: Callable[[float], str],
    ) -> str:
        parts = []
        for value in y_ticks:
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 3.5:.1f}">{y_text(value)}</text>')
        for value in x_ticks:
            x = self.x(value)
            parts.append(f'<path class="tick" d="M{x:.1f} {_HEIGHT - _BOTTOM}v4"/>')
            parts.append(f'<text class="middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}">{x_text(value)}</text>')
        parts.append(f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>')
        return "".join(parts)

    def titles(self, x_label: str, y_label: str) -> str:
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        height = (_TOP + _HEIGHT - _BOTTOM) / 2
        return (
            f'<text class="middle title" x="{middle:.0f}" y="{_HEIGHT - 6}">{escape(x_label)}</text>'
            f'<text class="middle title" transform="translate(11 {height:.0f}) rotate(-90)">{escape(y_label)}</text>'
        )


def _line(points: Sequence[tuple[float, float]], frame: _Frame, number: int) -> str:
    finite = [point for point in points if math.isfinite(point[1])]
    if len(finite) == 1:
        ((x, y),) = finite
        return f'<circle class="dot c{number % LINE_COLOURS}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5"/>'
    return _path(points, frame, number)


def _path(points: Sequence[tuple[float, float]], frame: _Frame, number: int) -> str:
    steps, pen_up = [], True
    for x, y in points:
        if math.isfinite(y):
            steps.append(f"{'M' if pen_up else 'L'}{frame.x(x):.1f} {frame.y(y):.1f}")
        pen_up = not math.isfinite(y)
    dashed = " dashed" if number >= LINE_COLOURS else ""
    return f'<path class="line c{number % LINE_COLOURS}{dashed}" d="{"".join(steps)}"/>'


def _points(series: Series) -> list[tuple[float, float]]:
    """At most ``_MAX_POINTS`` points, first and last among them."""
    points = [(float(x), float(y)) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(x)]
    if len(points) <= _MAX_POINTS:
        return points
    step = (len(points) - 1) / (_MAX_POINTS - 1)
    return [points[round(i * step)] for i in range(_MAX_POINTS)]


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, about ``count`` of them."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * count >= span)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]


def _plain(value: float) -> str:
    """A number in few characters: 0.25, 4000, 20k, 1.5M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= abs(value) < 1e12:
            scale = 1e3 if unit == "k" else limit
            return f"{value / scale:.4g}{unit}"
    return f"{value:.4g}"


def _percent(value: float) -> str:
    text = f"{100 * value:.1f}"
    return f"{text.removesuffix('.0')} %"


def _svg(body: str, description: str) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(description)}">{body}</svg>'
    )
