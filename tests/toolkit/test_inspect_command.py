"""``toolkit inspect`` as it is typed: table, JSON and page, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.toolkit.bad_pictures import HOSTILE, HOSTILE_LABEL, make_bad_folder
from tests.toolkit.pictures import make_classes
from toolkit import cli
from toolkit.tables import text_width

posix = pytest.mark.skipif(os.name == "nt", reason="the folder has links, pipes and names Windows refuses")


def toolkit(*words: object) -> int:
    return cli.main([str(word) for word in words])


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bad folder, and a cache for it."""
    folder = tmp_path_factory.mktemp("inspect")
    root = make_bad_folder(folder / "bad")
    (root / "circle" / f"{HOSTILE} cut.jpg".replace("/", " ")).write_bytes(b"\xff\xd8\xff")
    return root, folder / "cache"


@posix
def test_the_table(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    root, cache = places
    assert toolkit("inspect", root, "--cache-dir", cache) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].split() == ["class", "pictures", "share", "smallest", "median", "largest"]
    assert max(map(text_width, lines)) <= 80
    assert re.search(r"^plus +24 +20\.\d% +\d+x\d+ +\d+x\d+ +\d+x\d+$", out, re.M)
    for text in (
        "9 x unreadable",
        "1 x near duplicates across classes",
        "    circle/rescaled.jpg, square/square_0004.jpg: ",
        "2 x blank, nearly one colour",
        "two\\nlines.png",
        "    ... and 1 more; --json lists all, --html shows them",
    ):
        assert text in out


@posix
def test_json(places: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    root, cache = places
    assert toolkit("inspect", root, "--cache-dir", cache, "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report["schema_version"] == 1
    assert sum(report["formats"].values()) == report["pictures"] == sum(c["pictures"] for c in report["classes"])
    assert report["classes"][0]["label"] == HOSTILE_LABEL
    findings = report["findings"]
    assert len(findings["unreadable"]["items"]) == 9
    (near,) = findings["near_duplicates_across_classes"]["items"]
    assert near["paths"] == ["circle/rescaled.jpg", "square/square_0004.jpg"]
    for finding in findings.values():
        for item in finding["items"]:
            for path in item["paths"]:
                assert os.path.lexists(root / path)


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@posix
def test_the_page(places: tuple[Path, Path], tmp_path: Path) -> None:
    root, cache = places
    assert toolkit("inspect", root, "--cache-dir", cache, "--html", tmp_path / "new" / "page.html") == 0
    page = Page((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "b", "link", "iframe", "object"}, "a name became markup"
    assert not any(key.startswith("on") or key in ("src", "href") and not str(value).startswith(("data:", "#"))
                   for _, attributes in page.tags for key, value in attributes.items())  # fmt: skip
    assert HOSTILE.replace("/", " ") in page.text
    assert HOSTILE_LABEL in page.text
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    # Two copies across, four near pairs, two blank, two small (one where names must be UTF-8), one odd shape.
    assert len(pictures) == 2 + 8 + 2 + (2 if sys.platform == "linux" else 1) + 1
    assert all(str(attributes["src"]).startswith("data:image/jpeg;base64,/9j/") for attributes in pictures)
    for text in ("circle/rescaled.jpg", "square/mirrored.jpg", "training needs 3 or more", "square/icon.png"):
        assert text in page.text


def test_nothing_wrong(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert toolkit("inspect", shapes, "--cache-dir", tmp_path, "--html", tmp_path / "page.html") == 0
    captured = capsys.readouterr()
    assert "nothing wrong was found" in captured.out
    assert "page written to" in captured.err
    assert "Nothing was found." in (tmp_path / "page.html").read_text()


def test_several_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_classes(tmp_path / "photos", {"x": 5})
    lines = ["x/000.png,sea;<b>", "x/001.png,sea", "x/002.png,", "x/003.png,sea", "gone.png,<b>"]
    (root / "labels.csv").write_text("\n".join(lines))
    words = ("inspect", root, "--multi-label", "--cache-dir", tmp_path / "cache")
    assert toolkit(*words, "--html", tmp_path / "page.html") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[0] == "label"
    assert re.search(r"^sea +3 +75\.0% ", out, re.M)
    for text in ("without a label: 1", "1 x named in labels.csv and not there", "    gone.png", "    x/004.png"):
        assert text in out
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "b" not in {tag for tag, _ in page.tags}
    assert "4 pictures with 2 labels, 1 of them without any; 4 PNG." in " ".join(page.text.split())
    assert "x/004.png" in page.text


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "name the folder of pictures: toolkit inspect photos/"),
        (["{nowhere}"], 2, "no such folder: "),
        (["{file}"], 2, "is a file; give a folder"),
        (["{empty}"], 1, "has no class folders: put the pictures of each class"),
        (["{photos}", "--html", "{empty}"], 2, "is a folder; name a file"),
        (["{photos}", "--html", "{file}/page.html"], 2, "is no folder that can be written to"),
        pytest.param(
            ["{photos}", "--html", "/proc/page.html"],
            2,
            "/proc is no folder that can be written to",
            marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc"),
        ),
        (["", "--html", "page.html"], 2, "IMAGE_DIR: is empty; name a file or a folder (. is the current folder)"),
        (["{photos}", "--cache-dir", "{file}/cache"], 1, "cannot use the feature cache"),
        (["{photos}", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, text: str
) -> None:
    places = {name: tmp_path / name for name in ("nowhere", "file", "empty", "photos")}
    places["file"].write_text("x")
    places["empty"].mkdir()
    make_classes(places["photos"], {"a": 3, "b": 3})
    cache = [] if "--cache-dir" in words else ["--cache-dir", tmp_path / "cache"]
    assert toolkit("inspect", *(word.format(**places) for word in words), *cache) == code
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert text in line


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert toolkit("inspect", "--help") == 0
    text = capsys.readouterr().out
    for part in ("toolkit inspect photos/ --html", "near duplicates", "exit codes: 0 the folder was looked at", "jq"):
        assert part in text


@posix
def test_ctrl_c_ends_it_in_one_line(shapes: Path, tmp_path: Path) -> None:
    root = tmp_path / "many"
    picture = (shapes / "plus" / "plus_0001.jpg").read_bytes()
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for number in range(4000):  # other bytes behind the same picture: other contents
            (root / label / f"{number}.jpg").write_bytes(picture + f"{label}{number}".encode())
    command = [sys.executable, "-m", "toolkit", "inspect", str(root), "--cache-dir", str(tmp_path / "cache")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=0)
    assert process.stderr is not None
    seen = ""
    while "Looking" not in seen:
        seen += process.stderr.read(1)
    for _ in range(200):
        if (tmp_path / "cache" / "features.sqlite").exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert err.rstrip().endswith("toolkit: interrupted")
