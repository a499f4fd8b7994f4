"""``toolkit predict`` as it is typed: options, mistakes, pictures that fail, and the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from converters.inputs.predictor import Predictor
from runtime.answers import Prediction, Stages
from runtime.spec import Preprocessing
from tests.conftest import ROOT
from tests.toolkit import predict_models as models
from tests.toolkit.predict_models import toolkit
from toolkit.predict.answers import Answer
from toolkit.predict.page import Page, thumbnail

LITE = ("predict", "--architecture", "efficientnet_lite0")
HOSTILE = "\"><script>alert('1')</script>\n{{ 7 * 7 }}\udcff"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return models.colour_pictures(tmp_path / "pictures")


def test_help_teaches_and_loads_nothing_heavy() -> None:
    code = "import sys; from toolkit.cli import main; code = main(); print(*sys.modules, file=sys.stderr); exit(code)"
    command = [sys.executable, "-c", code, "predict", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for part in ("python label_image.py --graph=output_graph.pb", "--input_layer", "--html FILE", "efficientnet_lite0"):
        assert part in done.stdout
    assert not {"tensorflow", "keras", "cv2", "jinja2"} & set(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "name pictures or folders of pictures: toolkit predict photo.jpg"),
        (["{pictures}", "--top-k", "0"], "--top-k must be 1 or more, not 0"),
        (["{pictures}", "--model", "a", "--graph", "b"], "give one of --model, --graph and --architecture"),
        (["{pictures}", "--model-dir", "w"], "--model-dir holds weights for --architecture NAME"),
        (["{pictures}", "--model", "nowhere"], "--model nowhere: no such file or folder"),
        (["{pictures}", "--graph", "nowhere"], "--graph nowhere: no such file or folder"),
        (["{pictures}", "--model", "{pictures}"], "holds no model: neither a bundle"),
        (["{pictures}", "--model", "{pictures}/red.png"], "looks like a PNG picture; it takes a bundle"),
        (["{pictures}", "--architecture", "nonsense"], "unknown architecture 'nonsense'"),
        (["{pictures}", "--architecture", "efficientnet_lite0", "--input_mean", "1"], "--input-mean has no place with"),
        (["{pictures}", "--input_mean", "1,2"], "one number or three separated by commas, not '1,2'"),
        (["{pictures}", "--input_std", "x"], "one number or three separated by commas, not 'x'"),
        (["nowhere.jpg", "--architecture", "efficientnet_lite0"], "no such file or folder: nowhere.jpg"),
        (["{pictures}", "--architecture", "efficientnet_lite0", "--html", "{pictures}"], "is a folder; name a file"),
        (["{pictures}", "--architecture", "efficientnet_lite0", "--html", "no/p.html"], "there is no folder no"),
        pytest.param(
            ["{pictures}", "--architecture", "efficientnet_lite0", "--html", "/dev/null"],
            "--html /dev/null is a device or a pipe; name a file",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files"),
        ),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert toolkit("predict", *(word.format(pictures=pictures) for word in words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert text in captured.err.splitlines()[-1]


def test_a_model_among_the_pictures_is_told_with_what_to_type(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, graph, red = tmp_path / "my model", tmp_path / "g.pb", pictures / "red.png"
    (bundle / "export").mkdir(parents=True)
    (bundle / "spec.json").write_text("{}")
    graph.write_bytes(b"x")
    for words, line in (
        ([bundle, red], f"toolkit predict --model '{bundle}' {red}"),
        ([red, graph, pictures], f"toolkit predict --model {graph} {red} {pictures}"),
        ([graph], f"toolkit predict --model {graph} photo.jpg"),
    ):
        assert toolkit("predict", *words) == 2
        assert capsys.readouterr().err.rstrip().endswith(f"is a model, not a picture; type: {line}")
    assert toolkit(*LITE, graph, red) == 2
    expected = f"{graph} is a model, not a picture, and efficientnet_lite0 was named as the model"
    assert capsys.readouterr().err.rstrip().endswith(expected)


def test_a_folder_of_pictures_with_a_model_in_it_is_one_of_pictures(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "model.keras").write_bytes(b"x")
    assert toolkit(*LITE, pictures, "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_without_a_model(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert toolkit("predict", pictures) == 2
    assert "no model: model is no bundle of toolkit train" in capsys.readouterr().err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "spec.json").write_text("{}")
    assert toolkit("predict", pictures) == 1
    assert "is not a model bundle of toolkit train" in capsys.readouterr().err


def test_pictures_by_every_name_they_had(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    red, blue, green = (pictures / f"{name}.png" for name in ("red", "blue", "green"))
    words = ("--image", red, "--image_file", blue, green, "--num_top_predictions", "2", "--json")
    assert toolkit(*LITE, *words) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["source"] for answer in answers] == [str(red), str(blue), str(green)]
    assert [len(answer["predictions"]) for answer in answers] == [2, 2, 2]


def test_folders_in_natural_order_and_what_fails(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("img10.png", "img2.png"):
        (pictures / "deep").mkdir(exist_ok=True)
        (pictures / "deep" / name).write_bytes((pictures / "red.png").read_bytes())
    (pictures / "cut.png").write_bytes((pictures / "red.png").read_bytes()[:60])
    (pictures / "two\nlines.jpg").write_bytes(b"")
    (pictures / "notes.txt").write_text("x")
    assert toolkit(*LITE, pictures, "--json") == 0
    captured = capsys.readouterr()
    sources = [json.loads(line)["source"] for line in captured.out.splitlines()]
    names = ["blue.png", "deep/img2.png", "deep/img10.png", "green.png", "red.png"]
    assert sources == [str(pictures / name) for name in names]
    skipped = [line for line in captured.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 2
    assert "2 skipped, listed above" in captured.err
    assert toolkit(*LITE, pictures / "red.png", pictures / "cut.png") == 1
    capsys.readouterr()
    assert toolkit(*LITE, pictures / "cut.png") == 1
    assert "damaged" in capsys.readouterr().err.splitlines()[-1]


def test_a_name_that_is_no_unicode(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(os.fsdecode(os.fsencode(pictures) + b"/\xff.png"))
    try:
        (pictures / "red.png").rename(path)
    except OSError:
        pytest.skip("this file system takes Unicode only")
    command = [sys.executable, "-m", "toolkit", *LITE, os.fsencode(path), "--html", str(tmp_path / "p.html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\\udcff.png" in (tmp_path / "p.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects the tags, what they carry and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictures += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def read_page(content: bytes) -> Reader:
    reader = Reader()
    reader.feed(content.decode("utf-8"))
    return reader


def test_the_page(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "cut.png").write_bytes(b"\x89PNG\r\n")
    page = tmp_path / "answers.html"
    assert toolkit(*LITE, pictures, "--html", page, "--top-k", "3") == 0
    captured = capsys.readouterr()
    assert f"page written to {page}" in captured.err
    reader = read_page(page.read_bytes())
    assert (reader.tags.count("article"), reader.tags.count("img")) == (3, 3)
    assert all(address.startswith("data:image/jpeg;base64,") for address in reader.pictures)
    for line in captured.out.splitlines():
        if "%" in line:
            score, label = line.split("%")
            assert label.strip() in reader.texts
            assert f"{score.strip()} %" in reader.texts
    assert [text for text in reader.texts if str(pictures / "cut.png") in text]
    text = page.read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text


def test_nothing_on_the_page_is_markup_of_others() -> None:
    predictor = Predictor(HOSTILE, Preprocessing(8, 8), (HOSTILE, "b"), lambda pixels: pixels, "multi-label")
    page = Page()
    predictions = (Prediction(0, HOSTILE, 0.75), Prediction(1, "b", 0.25))
    page.add(Answer(predictions, (HOSTILE,), Stages(1, 1, 1), HOSTILE), Image.new("RGB", (900, 300)))
    page.add(Answer(predictions, (), Stages(1, 1, 1), "b.jpg"), Image.new("RGB", (1, 3000)))
    page.skip(HOSTILE)
    content = page.render(predictor)
    reader = read_page(content)
    assert "script" not in reader.tags
    assert "no label" in reader.texts
    assert any(text.startswith("A picture may have several labels") for text in reader.texts)
    assert content.count(b"alert(&#39;1&#39;)") + content.count(b"alert(\\&#39;1\\&#39;)") >= 4
    assert b"{{ 7 * 7 }}" in content


@pytest.mark.parametrize(("size", "expected"), [((900, 300), (400, 133)), ((20, 10), (20, 10)), ((1, 3000), (1, 400))])
def test_thumbnails_keep_the_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    import base64
    import io

    data = thumbnail(Image.new("RGB", size)).partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == expected
