"""The examples of docs/runtime.md are run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT


def test_examples_from_python(
    colours: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In one namespace, as in a notebook, but the one that draws."""
    text = (ROOT / "docs" / "runtime.md").read_text(encoding="utf-8")
    section = text[text.index("## From Python") : text.index("## Benchmark")]
    examples = [code for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if "matplotlib" not in code]
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    shutil.copy(colours, "flowers_int8.tflite")
    shutil.copy(photos / "red.png", "photo.jpg")
    shutil.copy(photos / "green.png", photos / "green.jpg")
    (photos / "no picture.jpg").write_bytes(b"text")
    space: dict[str, Callable[..., object]] = {}
    for example in examples:
        exec(compile(example, "docs/runtime.md", "exec"), space)
    said = capsys.readouterr().out
    assert said.startswith("('red',)\n0 red 0.78")
    assert "photos/green.jpg ('緑 grün',) 0.78" in said
    assert "skipped: photos/no picture.jpg: not a picture" in said
