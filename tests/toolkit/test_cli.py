"""toolkit.cli: one command's parser is what the whole command line has for it, and how the process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from toolkit import cli


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_a_command_alone_is_as_in_the_whole(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for parser in (cli.build_parser(command), cli.build_parser()):
        with pytest.raises(SystemExit) as stop:
            parser.parse_args([command, "--help"])
        assert stop.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert f"usage: toolkit {command} " in shown[0]


@pytest.mark.parametrize("words", [["--help"], ["-h", "train"]])
def test_the_help_of_the_whole_names_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"\n    {command}" in said for command in cli._COMMANDS)


@pytest.mark.parametrize("word", ["trai", "Train", "sample_data", "nothing"])
def test_a_word_that_is_no_command(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word, "photos"]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == f"toolkit: error: COMMAND: must be one of {', '.join(cli._COMMANDS)}; got {word!r}; see toolkit --help\n"
    )


def test_a_command_loads_no_other() -> None:
    code = "import sys; from toolkit.cli import main; code = main(); print(*sys.modules, file=sys.stderr); exit(code)"
    run = subprocess.run(
        [sys.executable, "-c", code, "train", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name for name in run.stderr.split() if name.startswith("toolkit.commands.")}
    assert {name.removeprefix("toolkit.commands.").partition("_")[0] for name in loaded} == {"train"}


@pytest.mark.parametrize(("words", "code"), [(["architectures", "--json"], 0), (["train"], 2)])
def test_the_process_ends_without_a_search_for_garbage(words: list[str], code: int) -> None:
    script = "import gc; from toolkit.__main__ import main; code = main(); print(gc.get_freeze_count()); exit(code)"
    run = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == code
    assert int(run.stdout.splitlines()[-1]) > 1000


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("toolkit ")
