"""report.html: one file that needs nothing else, and says what the figures say, whatever the labels are."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.errors import DataError
from runtime.spec import Task
from tests.toolkit.pictures import make_classes
from toolkit.evaluation import Evaluation, truth_matrix
from toolkit.heat_maps import HeatMap, Overlay, small_jpeg
from toolkit.reliability import reliability
from toolkit.report.confusion import MAX_CLASSES, confusion_view, most_confused
from toolkit.report.content import Chart, Composition, ReportContent, Series, Table
from toolkit.report.metrics import metrics_bytes, report_metrics
from toolkit.report.page import MAX_LISTED, render_report, visible, write_report
from toolkit.report.thumbnails import thumbnails

HOSTILE = (
    "<script>alert(1)</script>",
    "\" onload='x' &amp;",
    "two\nlines",
    "{{ 7*7 }}",
    "猫",
    "גמל שלמה",
    "\u202eturned",
    "می\u200cخواهم",
    "x" * 200,
)
VOID = {"meta", "img", "link", "br", "path", "rect", "circle"}


class Page(HTMLParser):
    """Checks nesting, and collects elements, addresses and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.events: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action", "data", "srcset", "poster"):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.events.append(name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def answers(folder: Path, labels: tuple[str, ...], task: Task = "single-label", count: int = 12) -> Evaluation:
    """Seeded answers on noise pictures in a folder, some of them wrong, the last picture of no class."""
    root = make_classes(folder, {"any": count})
    paths = tuple(sorted(root.rglob("*.png")))
    random = np.random.default_rng(len(labels))
    ids = [[int(random.integers(len(labels)))] for _ in paths[:-1]] + [[]]
    truth = truth_matrix(ids, len(labels))
    raw = np.exp(truth * 1.5 + random.normal(size=truth.shape))
    scores = (raw / raw.sum(axis=1, keepdims=True) if task == "single-label" else raw / (1 + raw)).astype(np.float32)
    digests = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return Evaluation(labels, task, paths, digests, truth, scores, unknown_below=0.1)


def full(evaluation: Evaluation) -> ReportContent:
    """Every part of a report filled."""
    labels = evaluation.labels
    jpeg = small_jpeg(Image.new("RGB", (8, 8), "red"))
    example = evaluation.mistakes(1)[0]
    heat = HeatMap(example, jpeg, (Overlay(0, 0.9, jpeg), Overlay(1, 0.1, jpeg)))
    counts = tuple(int(n) for n in evaluation.truth.sum(axis=0))
    return ReportContent(
        title=labels[0],
        evaluations={"training": evaluation, "test": evaluation},
        detailed="test",
        facts={"weights": labels[1]},
        charts=(
            Chart(
                "Head", "epoch", "cross-entropy", (Series(labels[0], [1, 2], [2.0, 1.0]), Series("b", [1, 2], [3, 2]))
            ),
        ),
        reliability={"before": reliability(evaluation.scores, evaluation.truth, evaluation.task)},
        reliability_note="Measured on <validation>.",
        heat_maps=(heat,),
        composition=Composition(
            labels,
            {"training": counts, "test": counts},
            {"training": 0, "test": 1},
            skipped=((Path("a") / "bad\udcff\n.jpg", "damaged <picture>"),),
            duplicates=((Path("a/1.jpg"), Path("a/2.jpg")),),
            notes=("A note on the data.",),
        ),
        tables=(Table("None of these", ("class", "rejected"), ((labels[0], "41 %"),), note="In turn."),),
        notes=("Read this first.",),
        command="toolkit train '<photos>'",
        versions={"numpy": "2"},
    )


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_hostile_names_stay_names(tmp_path: Path, task: Task) -> None:
    text = render_report(full(answers(tmp_path, HOSTILE, task)))
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    assert not page.events
    assert all(re.match(r"data:image/jpeg;base64,|#", address) for address in page.addresses)
    assert not re.search(r"url\(|@import|https?:", text), "nothing is fetched"
    said = "".join(page.texts)
    for label in HOSTILE:
        assert visible(label) in said
    assert "\u202e" not in text
    assert "49" not in [part.strip() for part in page.texts if "7*7" in part]
    text.encode("utf-8")


@pytest.mark.parametrize("task", ["single-label", "multi-label"])
def test_every_part_is_there_and_linked(tmp_path: Path, task: Task) -> None:
    page = Page(render_report(full(answers(tmp_path, ("a", "b", "c"), task))))
    parts = ["accuracy", "curves", "classes", "confusion", "calibration", "mistakes", "hits", "heat", "data", "table-1"]
    assert page.ids == [*parts, "made"]
    assert sorted(a[1:] for a in page.addresses if a.startswith("#")) == sorted(page.ids)


def test_the_page_says_what_the_metrics_say(tmp_path: Path) -> None:
    evaluation = answers(tmp_path, ("a", "b", "c"))
    content = full(evaluation)
    said = " ".join(" ".join(Page(render_report(content)).texts).split())
    metrics = json.loads(metrics_bytes(report_metrics(content)))
    figures = metrics["evaluations"]["test"]
    assert f"accuracy {100 * metrics['accuracy']['test']['accuracy']:.1f} % N = 11" in said
    for row in figures["per_class"]:
        assert f"{100 * row['recall']:.1f} %" in said
    assert f"{100 * figures['macro']['f1']:.1f} %" in said
    assert f"{100 * metrics['calibration']['before']['expected_calibration_error']:.1f} points" in said
    assert metrics["curves"][0]["series"][0]["y"] == [2.0, 1.0]
    assert metrics["pictures"]["per_class"]["a"]["test"] == figures["per_class"][0]["support"]
    assert metrics["pictures"]["skipped"] == [{"path": "a/bad\udcff\n.jpg", "reason": "damaged <picture>"}]
    assert metrics["command"] == "toolkit train '<photos>'"


def test_same_content_same_bytes(tmp_path: Path) -> None:
    content = full(answers(tmp_path / "p", ("a", "b")))
    write_report(content, tmp_path / "1.html")
    write_report(content, tmp_path / "2.html")
    assert (tmp_path / "1.html").read_bytes() == (tmp_path / "2.html").read_bytes()


def test_thumbnails_are_of_the_right_pictures(tmp_path: Path) -> None:
    evaluation = answers(tmp_path, ("a", "b"))
    text = render_report(replace(full(evaluation), heat_maps=()))
    shown = [base64.b64decode(data) for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)]
    wanted = [*evaluation.mistakes(12), *evaluation.narrow_hits(12)]
    assert len(shown) == len(wanted) == 11
    for jpeg, example in zip(shown, wanted, strict=True):
        with Image.open(io.BytesIO(jpeg)) as small, Image.open(evaluation.sources[example.position]) as picture:
            difference = np.abs(np.asarray(small, float).mean((0, 1)) - np.asarray(picture, float).mean((0, 1)))
            assert difference.max() < 6


def test_a_picture_that_is_gone_or_another_is_told(tmp_path: Path) -> None:
    evaluation = answers(tmp_path, ("a", "b"))
    example = evaluation.mistakes(1)[0]
    evaluation.sources[example.position].unlink()
    hit = evaluation.narrow_hits(1)[0]
    evaluation.sources[hit.position].write_bytes(evaluation.sources[evaluation.narrow_hits(2)[1].position].read_bytes())
    assert render_report(full(evaluation)).count("the file is gone or was changed") == 2


def test_thumbnails_of_large_and_turned_pictures(tmp_path: Path) -> None:
    image = Image.new("RGB", (3000, 1500), (200, 30, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    digest = hashlib.sha256((tmp_path / "turned.jpg").read_bytes()).hexdigest()
    (jpeg,) = thumbnails([(tmp_path / "turned.jpg", digest)])
    assert jpeg is not None
    with Image.open(io.BytesIO(jpeg)) as small:
        assert small.size == (160, 320)


def test_bare_content(tmp_path: Path) -> None:
    """Nothing but answers, and not even pictures."""
    nothing = answers(tmp_path, ("a", "b")).subset(np.array([], np.int64))
    page = Page(render_report(ReportContent("m", {"test": nothing}, "test")))
    assert page.ids == ["accuracy", "classes", "confusion", "mistakes", "hits", "made"]
    assert "nan" not in "".join(page.texts).lower()
    with pytest.raises(DataError, match="a report on 'x' has evaluations of test"):
        ReportContent("m", {"test": nothing}, "x")


def test_many_classes_show_those_with_mistakes() -> None:
    count = MAX_CLASSES + 40
    ids = [[c] for c in range(count)]
    scores = np.eye(count, dtype=np.float32)
    scores[count - 1] = np.roll(scores[count - 1], -3)
    paths = tuple(Path(f"{n}.jpg") for n in range(count))
    labels = tuple(f"class {c}" for c in range(count))
    evaluation = Evaluation(labels, "single-label", paths, ("0",) * count, truth_matrix(ids, count), scores)
    view = confusion_view(evaluation)
    assert (len(view.rows), view.left_out) == (MAX_CLASSES, 40)
    assert {f"class {count - 1}", f"class {count - 4}"} <= set(view.labels)
    (pair,) = most_confused(evaluation)
    assert (pair.truth, pair.answer, pair.count, pair.support) == (f"class {count - 1}", f"class {count - 4}", 1, 1)


def test_long_lists_are_cut_and_said_so(tmp_path: Path) -> None:
    content = full(answers(tmp_path, ("a", "b")))
    assert content.composition is not None
    many = tuple((Path(f"f{n}.jpg"), "damaged") for n in range(MAX_LISTED + 7))
    text = render_report(replace(content, composition=replace(content.composition, skipped=many)))
    assert "and 7 more; metrics.json lists them all" in text
    assert f"f{MAX_LISTED}.jpg" not in text


def test_visible() -> None:
    assert visible("a\nb\x00\udcff\u2028") == "a\\nb\\x00\\udcff\\u2028"
    assert visible("می\u200cخواهم 🐱") == "می\u200cخواهم 🐱"
