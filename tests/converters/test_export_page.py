from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.export_page import render_page
from converters.export_plot import Dot, trade_off
from converters.reference import Reference
from tests.converters import reports
from tests.converters.reports import one_hot, pictures, result, scores

NOWHERE = Path("images.npz")


class Parsed(HTMLParser):
    """Checks that tags close in order, and keeps texts and attributes."""

    VOID = frozenset({"meta", "img", "br", "path", "circle", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in self.VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page(report: dict[str, Any], count: int = 6) -> Parsed:
    return Parsed(render_page(report, pictures(count)).decode())


@pytest.fixture
def reference() -> Reference:
    return Reference(NOWHERE, scores(0, 1, 2, 0, 1, 2), one_hot(0, 1, 2, 0, 1, 1))


@pytest.fixture
def report(reference: Reference) -> dict[str, Any]:
    float32 = result("float32", reference, reference.scores, size=13_000_000)
    floor = result("int8", reference, reference.scores, interpreter="tflite-runtime 2.14.0", latency_ms=38.0)
    int8 = result("int8", reference, scores(1, 1, 2, 0, 1, 1, best=0.6), floor=floor)
    return reports.report(reference, [float32, int8])


def test_nothing_from_elsewhere_and_nothing_run(report: dict[str, Any]) -> None:
    parsed = page(report)
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "link", "iframe", "object", "base"}
    addresses = [value for _, attributes in parsed.tags for key in ("src", "href") if (value := attributes.get(key))]
    assert addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in addresses)
    assert "url(" not in render_page(report, pictures(6)).decode()


def test_what_it_says(report: dict[str, Any]) -> None:
    text = page(report).text
    assert "my <b>flowers</b>" in text, "as text, not as a tag"
    assert "6 test pictures" in text
    assert "The trained model has 83.3 % of them right (95 % interval 43.6 % to 97.0 %)" in text
    assert "3.50 MB" in text
    assert "13.0 MB" in text
    assert "tflite-runtime 2.14.0" in text
    assert "38.0 ms" in text
    assert "12.0 MB" in text
    assert "1 better, 1 worse, which may be chance" in text
    assert "14 × CONV_2D 3, 1 × SOFTMAX 2" in text
    assert "ab" * 32 in text
    assert "sha256" in text


def test_the_pictures_whose_answer_changed(report: dict[str, Any]) -> None:
    parsed = page(report)
    images = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert len(images) == 2, "of six pictures two changed"
    # The one that got worse comes first: it is a daisy, and int8 takes it for the hostile label.
    first, second = parsed.text.index("daisy trained daisy"), parsed.text.index("int8 <script>alert(1)</script> 60.0 %")
    assert 0 < first < second
    assert "'tulip & \"rose\"\\n'" in parsed.text, "a label that would break the line comes with escapes"


def test_no_picture_changed(reference: Reference) -> None:
    text = page(reports.report(reference, [result("float32", reference, reference.scores)])).text
    assert "No answer changed Every file gives the trained model's answer on all 6 pictures." in text
    assert "Pictures whose answer changed" not in text


def test_labels_that_are_not_known(reference: Reference) -> None:
    unknown = Reference(NOWHERE, reference.scores, np.zeros((0, 3), np.bool_))
    made = reports.report(unknown, [result("int8", unknown, scores(1, 1, 2, 0, 1, 2))])
    text = page(made).text
    assert "pictures whose labels are not known here" in text
    assert "agreement with the trained model" in text
    assert "83.3 %" in text
    assert "nan" not in text
    assert "better" not in text.replace("better / worse: test pictures", "")


def test_scores_that_were_not_kept(reference: Reference) -> None:
    """A bundle without test pictures is checked with calibration pictures, of which export.json has no rows."""
    unknown = Reference(NOWHERE, reference.scores, np.zeros((0, 3), np.bool_))
    made = reports.report(unknown, [result("int8", unknown, scores(1, 1, 2, 0, 1, 2))]) | {"test_scores": []}
    text = page(made).text
    assert "1 of 6; their scores are not kept where there are no test pictures." in text
    assert "Pictures whose answer changed" in text
    assert "Every file gives" not in text


def test_multi_label_and_unknown(reference: Reference) -> None:
    both = Reference(NOWHERE, scores(0, 1), one_hot(0, 1) | one_hot(1, 1), "multi-label", (0.5, 0.5, 0.5))
    nothing = np.full((2, 3), 0.2, np.float32)
    made = reports.report(both, [result("int8", both, nothing)], reports.spec("multi-label"))
    assert "no label" in page(made, 2).text
    limited = Reference(NOWHERE, scores(0, 1), one_hot(0, 1), "single-label", (0.7, 0.7, 0.7))
    weak = result("int8", limited, scores(0, 2, best=0.5))
    assert "unknown, at best 'tulip" in page(reports.report(limited, [weak], reports.spec(unknown_below=0.7)), 2).text


def test_many_changed_pictures_are_cut(reference: Reference) -> None:
    many = Reference(NOWHERE, scores(*[0] * 100), one_hot(*[0] * 100))
    parsed = page(reports.report(many, [result("int8", many, scores(*[1] * 100))]), 100)
    assert sum(tag == "img" for tag, _ in parsed.tags) == 60
    assert "40 more are listed in export.json" in parsed.text


def test_notes_and_refused_files(reference: Reference, report: dict[str, Any]) -> None:
    report["files"][1]["accepted"] = False
    report["notes"] = ["int8 was taken: the smallest\x07 within the limit"]
    text = page(report).text
    assert "int8 (refused)" in text
    assert "'int8 was taken: the smallest\\x07 within the limit'" in text


def test_the_same_bytes_each_time(report: dict[str, Any]) -> None:
    assert render_page(report, pictures(6)) == render_page(report, pictures(6))


def test_pixels_between_whole_numbers(report: dict[str, Any]) -> None:
    """tf-bilinear gives such."""
    assert len(render_page(report, pictures(6).astype(np.float32) * 0.999)) > 1000


def test_lone_surrogates(report: dict[str, Any]) -> None:
    assert b"\\udc80" in render_page(report | {"name": "\udc80"}, pictures(6))


def dots(*shares: float) -> list[Dot]:
    return [
        Dot(f"kind{n}", 1_000_000 * (n + 1), share, (share - 0.05, min(1.0, share + 0.05)), 4.0**n)
        for n, share in enumerate(shares)
    ]


def test_places_in_the_plot() -> None:
    svg = trade_off(dots(0.80, 0.90), 0.85, "accuracy")
    circles = {
        int(kind): (float(x), float(y), float(r))
        for kind, x, y, r in re.findall(r'class="dot k(\d)" cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', svg)
    }
    (x0, y0, r0), (x1, y1, r1) = circles[0], circles[1]
    assert x0 < x1
    assert y0 > y1, "better is higher"
    assert r1 == pytest.approx(2 * r0, abs=0.2), "four times the time is four times the area"
    line = float(re.search(r'class="ideal" d="M[\d.]+ ([\d.]+)H', svg)[1])  # type: ignore[index]
    assert y1 < line < y0
    assert line == pytest.approx((y0 + y1) / 2, abs=0.2)
    Parsed(svg)


def test_labels_do_not_lie_on_each_other() -> None:
    near = [Dot(kind, 3_500_000 + n * 1000, 0.9, None, 3.0) for n, kind in enumerate(("int8", "dynamic", "int16x8"))]
    svg = trade_off(near, 0.9, "accuracy")
    places = [(float(x), float(y)) for x, y in re.findall(r'class="label k\d" x="([\d.]+)" y="([\d.]+)"', svg)]
    assert len(places) == 3
    for n, (x, y) in enumerate(places):
        assert all(abs(y - other_y) >= 12 or abs(x - other_x) >= 20 for other_x, other_y in places[:n])


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5])
def test_extremes_of_the_plot(share: float) -> None:
    svg = trade_off([Dot("a<b", 10, share, (0.0, 1.0), 0.0)], share, "accuracy")
    assert "a&lt;b" in svg
    numbers = [float(n) for n in re.findall(r'c[xy]="([-\d.]+)"', svg)]
    assert numbers
    assert all(0 <= n <= 360 for n in numbers)
    Parsed(svg)


def test_nothing_is_cut_off_at_all_right() -> None:
    """The slowest file has the largest dot, here where the picture ends."""
    best = [Dot("float32", 13_000_000, 1.0, (0.98, 1.0), 9.0), Dot("int8", 3_500_000, 1.0, (0.98, 1.0), 30.0)]
    svg = trade_off(best, 1.0, "accuracy")
    for x, y, r in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', svg):
        assert float(y) - float(r) > 1
        assert float(x) + float(r) < 359
    # Of "trained model", 11 units high, 80 wide, and the dots.
    x, y = map(float, re.findall(r'<text x="([\d.]+)" y="([\d.]+)">trained model<', svg)[0])
    for cx, cy, r in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', svg):
        across = max(x - float(cx), 0.0, float(cx) - (x + 80))
        assert across > float(r) * 0.7 or abs(y - 5 - float(cy)) > float(r) + 5


def test_the_longest_tick_leaves_the_title_alone() -> None:
    svg = trade_off([Dot("a", 1, 0.995, None, 1.0), Dot("b", 2, 1.0, None, 1.0)], None, "agreement")
    ticks = re.findall(r'<text class="end" x="([\d.]+)" y="[\d.]+">([^<]+)<', svg)
    assert ("99.5 %") in [text for _, text in ticks]
    title = float(re.search(r"translate\(([\d.]+) \d+\) rotate", svg)[1])  # type: ignore[index]
    # 11 units are a letter's height; a digit of the widest of the page's fonts is 0.64 of that.
    assert all(float(end) - 0.64 * 11 * len(text) > title + 3 for end, text in ticks)


def test_no_file_no_plot() -> None:
    assert trade_off([], 0.9, "accuracy") == ""
