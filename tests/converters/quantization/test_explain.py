from __future__ import annotations

from xml.etree import ElementTree

from converters.quantization.explain import error_plot, error_table, findings
from converters.quantization.layer_errors import EXACT, LayerError

SVG = "{http://www.w3.org/2000/svg}"


def layer(number: int, own: float, **changes: object) -> LayerError:
    facts = {
        "layer": number,
        "operator": "CONV_2D",
        "tensor": f"net/block_{number}",
        "own": own,
        "so_far": own - 3,
        "widest_channel": 2.0,
        "quantized": True,
    }
    return LayerError(**(facts | changes))  # type: ignore[arg-type]


ERRORS = [layer(1, 41.0), layer(2, 4.0, widest_channel=900.0), layer(3, EXACT), layer(4, 30.0, quantized=False)]


def test_the_table_has_the_worst_first_and_says_why() -> None:
    text = error_table(ERRORS)
    rows = text.splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["2", "4", "1"]
    assert rows[4] == (
        "! layer 2 (CONV_2D) keeps 4 dB: one channel is 900 times as wide as the middle one and takes the others' steps"
    )


def test_the_table_shows_so_many_rows_only() -> None:
    assert len(error_table([layer(n, 30.0 + n) for n in range(1, 40)], rows=5).splitlines()) == 6


def test_a_healthy_network_has_no_findings() -> None:
    assert findings([layer(1, 41.0), layer(2, 25.0)]) == []


def test_networks_that_cannot_be_compared() -> None:
    assert "cannot be compared" in error_table([])


def test_the_plot_is_one_bar_a_layer_as_long_as_it_is_good() -> None:
    root = ElementTree.fromstring(error_plot(ERRORS, "flowers"))
    bars = [group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")]
    widths = [float(bar.get("width", "0")) for bar in bars if bar is not None]
    assert len(widths) == len(ERRORS)
    assert widths[1] < widths[3] < widths[0] < widths[2]
    colours = [bar.get("fill") for bar in bars if bar is not None]
    assert colours[1] not in (colours[0], colours[3])
    assert colours[3] != colours[0]


def test_hostile_names_are_text() -> None:
    hostile = '<script>alert("x")</script>\x00\ud800'
    text = error_plot([layer(1, 30.0, tensor=hostile)], hostile.replace("\x00\ud800", ""))
    root = ElementTree.fromstring(text)
    assert root.find(f".//{SVG}script") is None
    text.encode()
    assert "\x00" not in error_table([layer(1, 30.0, tensor=hostile)])
