"""The demo with a user's own pictures: ends in the table; the second time computes nothing."""

from __future__ import annotations

import json
import sys

import pytest

from tests.conftest import ROOT
from tests.end_to_end.commands import run
from tests.end_to_end.conftest import Demo


def test_ends_in_the_table(demo: Demo) -> None:
    lines = demo.done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("file  ") and line.endswith("latency here"))
    rows = {line.split()[0]: line.split() for line in lines[start + 2 : start + 4]}
    assert set(rows) == {"my-photos_float32.tflite", "my-photos_int8.tflite"}
    report = json.loads((demo.bundle / "export" / "export.json").read_bytes())
    for entry in report["files"]:
        _, size, megabyte, accuracy, trained, _, milliseconds = rows[entry["file"]]
        assert (size, megabyte, milliseconds) == (f"{entry['bytes'] / 1e6:.2f}", "MB", "ms")
        assert accuracy == f"{entry['accuracy']['accuracy']:.1%}", "the runtime's own count is another"
        assert trained == f"{report['trained']['accuracy']['accuracy']:.1%}"
        assert float(accuracy.rstrip("%")) >= 80
    assert lines[start + 5] == "files: demo/model-my-photos/export"
    assert lines[start + 6].startswith("next:  ")
    assert "my-photos_int8.tflite YOUR_PICTURE.jpg" in lines[start + 6]


def test_shows_every_step_and_no_chatter(demo: Demo) -> None:
    steps = [line for line in demo.done.stdout.splitlines() if line.startswith("$ ")]
    assert [" ".join(step.split()[1:3]) for step in steps][:1] == ["toolkit train"]
    assert [step.split()[2] for step in steps] == ["train", "convert", "classify"]
    for chatter in ("XNNPACK", "INFO:", "WARNING", "oneDNN", "absl"):
        assert chatter not in demo.done.stderr


@pytest.mark.slow
def test_again_computes_nothing_twice(demo: Demo) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.bundle.rglob("*")}
    done = demo.again()
    assert "120 of 120 features from the cache, none computed" in done.stderr
    assert "holds this very model already; left as it is" in done.stdout
    assert "the files are there and up to date; nothing was converted" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in demo.bundle.rglob("*")} == before

    def table(text: str) -> str:
        return text[text.index("held-out test pictures") :]

    assert table(done.stdout) == table(demo.done.stdout)


def test_a_folder_that_is_not_there(demo: Demo) -> None:
    done = run(sys.executable, ROOT / "samples" / "demo.py", "nothing", cwd=demo.folder, code=2)
    assert done.stderr.strip().splitlines()[-1].startswith("toolkit: error: ")
