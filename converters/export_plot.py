"""Size, accuracy and latency of files in one picture, as SVG; colours come from the page by class names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

# Size of the picture in its own units; on a telephone a unit is about a CSS pixel.
_WIDTH, _HEIGHT = 360, 290
# Left of the axis there is room for "99.5 %" beside the title, above 100 % for half of the largest dot.
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 24, 42
# Radii of the slowest file and of the quickest that can still be seen.
_LARGEST, _SMALLEST = 20.0, 3.0
# Of a label: width of a character and height of a line, about, at the style sheet's 11 units.
_CHARACTER, _LINE = 6.2, 13.0
#: Colours in the style sheet.
COLOURS = 6


@dataclass(frozen=True)
class Dot:
    """A file.

    Attributes:
        name: its kind.
        size: bytes.
        share: accuracy, or agreement where there are no test pictures, 0..1.
        interval: of the share, 0..1; None where there is none.
        latency: milliseconds.
    """

    name: str
    size: int
    share: float
    interval: tuple[float, float] | None
    latency: float


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def trade_off(dots: Sequence[Dot], trained: float | None, what: str) -> str:
    """The picture; an empty text without files.

    Args:
        dots: the files, at most ``COLOURS`` in different colours.
        trained: the trained model's accuracy, 0..1, drawn as a line; None draws none.
        what: the name of the share.
    """
    if not dots:
        return ""
    frame = _Frame(dots, trained)
    parts = [frame.axes(what)]
    if trained is not None:
        y = frame.y(trained)
        parts.append(f'<path class="ideal" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
    placed = [_dot_box(frame, dot) for dot in dots]
    if trained is not None:
        y = frame.y(trained)
        placed.append(_Box(_LEFT, y - 1, _WIDTH - _RIGHT, y + 1))
    # The large ones first: small ones stay visible on top of them.
    for number, dot in sorted(enumerate(dots), key=lambda item: -item[1].latency):
        parts.append(_drawn(frame, dot, number % COLOURS))
    for number, dot in enumerate(dots):
        box, x, y = _label_place(frame, dot, placed)
        placed.append(box)
        parts.append(f'<text class="label k{number % COLOURS}" x="{x:.1f}" y="{y:.1f}">{escape(dot.name)}</text>')
    if trained is not None:
        parts.append(_trained_label(frame.y(trained), placed))
    words = "; ".join(f"{d.name} {d.size / 1e6:.1f} MB, {d.share:.1%}, {d.latency:.1f} ms" for d in dots)
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(f"{what} over size: {words}")}">{"".join(parts)}</svg>'
    )


class _Frame:
    """Places sizes and shares."""

    def __init__(self, dots: Sequence[Dot], trained: float | None) -> None:
        shares = [dot.share for dot in dots] + ([] if trained is None else [trained])
        shares += [end for dot in dots if dot.interval for end in dot.interval]
        pad = 0.01
        low, high = max(0.0, min(shares) - pad), min(1.0, max(shares) + pad)
        self.x_ticks = _ticks(0.0, max(dot.size for dot in dots) * 1.12 / 1e6, 5)
        self.y_ticks = [tick for tick in _ticks(low, high, 5) if tick <= 1.0 + 1e-9]
        self.y_low, self.y_high = self.y_ticks[0], max(self.y_ticks[-1], high)
        self.slowest = max(dot.latency for dot in dots) or 1.0

    def x(self, size: float) -> float:
        return _LEFT + size / 1e6 / self.x_ticks[-1] * (_WIDTH - _LEFT - _RIGHT)

    def y(self, share: float) -> float:
        span = (self.y_high - self.y_low) or 1.0
        return _HEIGHT - _BOTTOM - (share - self.y_low) / span * (_HEIGHT - _TOP - _BOTTOM)

    def radius(self, latency: float) -> float:
        """The area grows with the time."""
        return max(_SMALLEST, _LARGEST * math.sqrt(latency / self.slowest))

    def axes(self, what: str) -> str:
        parts = []
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 3.5:.1f}">{100 * tick:.4g} %</text>')
        for tick in self.x_ticks:
            x = self.x(tick * 1e6)
            parts.append(f'<path class="tick" d="M{x:.1f} {_HEIGHT - _BOTTOM}v4"/>')
            parts.append(f'<text class="middle" x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}">{tick:.4g}</text>')
        parts.append(f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>')
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        across = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text class="middle title" x="{across:.0f}" y="{_HEIGHT - 6}">size, MB</text>')
        parts.append(
            f'<text class="middle title" transform="translate(11 {middle:.0f}) rotate(-90)">{escape(what)}</text>'
        )
        return "".join(parts)


def _drawn(frame: _Frame, dot: Dot, colour: int) -> str:
    x, y, radius = frame.x(dot.size), frame.y(dot.share), frame.radius(dot.latency)
    interval = ""
    if dot.interval is not None:
        low, high = (frame.y(end) for end in dot.interval)
        interval = f'<path class="whisker k{colour}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
    tip = escape(f"{dot.name}: {dot.size / 1e6:.2f} MB, {dot.share:.1%}, {dot.latency:.1f} ms")
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"'
    return f'{interval}<circle class="dot k{colour}" {place}><title>{tip}</title></circle>'


def _dot_box(frame: _Frame, dot: Dot) -> _Box:
    x, y, radius = frame.x(dot.size), frame.y(dot.share), frame.radius(dot.latency) * 0.8
    return _Box(x - radius, y - radius, x + radius, y + radius)


def _label_place(frame: _Frame, dot: Dot, placed: Sequence[_Box]) -> tuple[_Box, float, float]:
    """A free place near the dot: the box, and x and y of the text's beginning."""
    x, y, radius = frame.x(dot.size), frame.y(dot.share), frame.radius(dot.latency)
    width = _CHARACTER * len(dot.name)
    best: tuple[float, _Box] | None = None
    for step in range(8):
        down = step * _LINE
        for left, top in (
            (x + radius + 4, y - _LINE / 2 + down),
            (x + radius + 4, y - _LINE / 2 - down),
            (x - radius - 4 - width, y - _LINE / 2 + down),
            (x - radius - 4 - width, y - _LINE / 2 - down),
            (x - width / 2, y + radius + 2 + down),
            (x - width / 2, y - radius - 2 - _LINE - down),
        ):
            box = _Box(left, top, left + width, top + _LINE)
            outside = left < _LEFT or box.right > _WIDTH or top < 0 or box.bottom > _HEIGHT - _BOTTOM
            hits = sum(box.meets(other) for other in placed) + 10 * outside
            if best is None or hits < best[0]:
                best = (hits, box)
        if best is not None and best[0] == 0:
            break
    assert best is not None  # noqa: S101 - the loop runs
    return best[1], best[1].left, best[1].bottom - 3.5


def _trained_label(y: float, placed: Sequence[_Box]) -> str:
    """Above or below the line, as far to the right as nothing else is there."""
    text = "trained model"
    width = _CHARACTER * len(text)
    places = [
        _Box(left, top, left + width, top + _LINE)
        for left in range(int(_WIDTH - _RIGHT - width), _LEFT, -6)
        for top in (y - 3 - _LINE, y + 2)
    ]
    box = min(places, key=lambda place: sum(place.meets(other) for other in placed) + 10 * (place.top < 0))
    return f'<text x="{box.left:.1f}" y="{box.bottom - 3:.1f}">{text}</text>'


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, about ``count`` of them."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / count))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * count >= span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, max(last, first + 1) + 1)]
