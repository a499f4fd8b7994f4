"""``--explain``: the error of each layer as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from converters.quantization.layer_errors import EXACT, LayerError

#: Of the picture's file name.
PLOT_ENDING = "_layers.svg"
#: Below this many decibels a layer is in trouble: its noise is a tenth of its signal and more.
POOR = 20.0
#: A channel this many times as wide as the middle one takes the others' steps.
WILD = 16.0
# The table shows no more layers than this, the worst ones.
_MOST_ROWS = 12
# What follows from the first troubled layers is not worth a line each.
_MOST_FINDINGS = 4
# Of the picture, in its own units.
_WIDTH, _LEFT, _ROW, _TOP, _BOTTOM = 720, 330, 15, 46, 30
_SCALE_END = 60.0
_LONGEST_NAME = 36


def error_table(errors: Sequence[LayerError], rows: int = _MOST_ROWS) -> str:
    """The layers with the largest errors of their own, worst first, for the terminal.

    Args:
        errors: of ``layer_errors``.
        rows: how many at most.
    """
    if not errors:
        return "the layers cannot be compared: the two models have other operators"
    worst = sorted((e for e in errors if e.own < EXACT), key=lambda e: (e.own, e.layer))[:rows]
    lines = [f"{'layer':>5}  {'operator':<18}  {'own dB':>6}  {'so far':>6}  {'widest channel':>14}  output"]
    for e in worst:
        figures = f"{e.own:>6.1f}  {e.so_far:>6.1f}  {e.widest_channel:>13.1f}x"
        lines.append(f"{e.layer:>5}  {e.operator:<18}  {figures}  {_short(e.tensor)}")
    told = findings(errors)
    lines += [f"! {text}" for text in told[:_MOST_FINDINGS]]
    if len(told) > _MOST_FINDINGS:
        lines.append(f"! and {len(told) - _MOST_FINDINGS} more layers that keep less than {POOR:.0f} dB")
    return "\n".join(lines)


def findings(errors: Sequence[LayerError]) -> list[str]:
    """What stands out, in sentences, wild channels first; none where all is well."""
    found = []
    for e in sorted(errors, key=lambda e: (e.widest_channel < WILD, e.layer)):
        if e.quantized and e.own < POOR:
            why = (
                f"one channel is {e.widest_channel:.0f} times as wide as the middle one and takes the others' steps"
                if e.widest_channel >= WILD
                else "its values or weights spread too wide for 255 steps"
            )
            found.append(f"layer {e.layer} ({e.operator}) keeps {max(0.0, e.own):.0f} dB: {why}")
    return found


def error_plot(errors: Sequence[LayerError], title: str) -> str:
    """A bar a layer, as one SVG file: what the layer does itself, and a tick for what all so far have done.

    Args:
        errors: of ``layer_errors``.
        title: is escaped.
    """
    height = _TOP + _ROW * len(errors) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="10"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>'
        f'<text x="8" y="16" font-size="13" font-weight="bold">{escape(title)}</text>'
        '<text x="8" y="32" fill="#555">signal to quantisation noise of each layer, dB: bar, by itself; line, with all '
        "before it; longer is better</text>"
    ]
    for decibels in range(0, int(_SCALE_END) + 1, 10):
        x = _x(decibels)
        parts.append(
            f'<path d="M{x:.1f} {_TOP - 4}V{height - _BOTTOM + 2}" stroke="#ddd"/>'
            f'<text x="{x:.1f}" y="{height - _BOTTOM + 14}" text-anchor="middle" fill="#555">{decibels}</text>'
        )
    parts += [_bar(e, _TOP + _ROW * place) for place, e in enumerate(errors)]
    return "".join(parts) + "</svg>\n"


def _bar(e: LayerError, y: int) -> str:
    colour = "#888" if not e.quantized else "#c0392b" if e.own < POOR else "#2c7fb8"
    kept = "" if e.quantized else ", kept in float"
    tip = (
        f"{e.tensor}: {e.own:.1f} dB by itself, {e.so_far:.1f} dB so far, widest channel {e.widest_channel:.1f}x{kept}"
    )
    so_far = _x(e.so_far)
    return (
        f"<g><title>{escape(_printable(tip))}</title>"
        f'<text x="{_LEFT - 6}" y="{y + 10}" text-anchor="end">'
        f"{escape(f'{e.layer} {e.operator} {_short(e.tensor)}')}</text>"
        f'<rect x="{_LEFT}" y="{y + 2}" width="{_x(e.own) - _LEFT:.1f}" height="{_ROW - 5}" fill="{colour}"/>'
        f'<path d="M{so_far:.1f} {y + 1}v{_ROW - 3}" stroke="#111" stroke-width="2"/></g>'
    )


def _x(decibels: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - 20) * min(max(decibels, 0.0), _SCALE_END) / _SCALE_END


def _short(name: str) -> str:
    """The end of a name, which tells layers apart, without what XML and terminals do not take."""
    plain = _printable(name)
    return plain if len(plain) <= _LONGEST_NAME else "…" + plain[1 - _LONGEST_NAME :]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
