"""``toolkit sample-data``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.errors import UsageError
from toolkit import sample_data
from toolkit.commands import sample_data as command
from toolkit.sample_data import FLOWER_CLASSES, SampleData


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="toolkit")
    command.add_parser(parser.add_subparsers())
    return parser.parse_args(["sample-data", *words])


def test_what_next_is_a_line_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    args = parse("shapes", "--count", "2", "--", "-my shapes")
    assert args.run(args) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert line == "next: toolkit train './-my shapes'"


def test_command_draws_and_says_what_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my shapes"
    args = parse("shapes", str(folder), "--count", "2", "--seed", "3")
    assert args.run(args) == 0
    out = capsys.readouterr().out
    assert f"8 pictures of 4 classes (circle, square, plus, triangle) in {folder}, all new" in out
    assert f"next: toolkit train '{folder}'" in out
    assert args.run(args) == 0
    assert "all of them there already" in capsys.readouterr().out
    args = parse("shapes", str(folder), "--count", "3", "--seed", "3")
    assert args.run(args) == 0
    assert "4 of them new" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ("shapes", "x", "--count", "0"),
        ("shapes", "x", "--seed", "-1"),
        ("flowers", "x", "--count", "5"),
        ("flowers", "x", "--seed", "0"),
    ],
)
def test_command_arguments(words: tuple[str, ...]) -> None:
    args = parse(*words)
    with pytest.raises(UsageError):
        args.run(args)


def test_command_fetches_flowers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = SampleData(tmp_path, FLOWER_CLASSES, 10, 10)
    monkeypatch.setattr(sample_data, "fetch_flowers", lambda folder: made)
    args = parse("flowers", str(tmp_path))
    assert args.run(args) == 0
    assert f"next: toolkit train {tmp_path}" in capsys.readouterr().out


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "toolkit sample-data shapes shapes" in text
    assert f"default: {sample_data.DEFAULT_COUNT}" in text


def test_command_module_is_light() -> None:
    code = (
        "import sys, toolkit.commands.sample_data; "
        "sys.exit(bool({'numpy', 'PIL', 'tensorflow', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
