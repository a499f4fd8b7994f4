"""runtime.command: what is typed wrongly ends in one line that says what, what came, and where to look."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from runtime.command import CommandParser, run_command


def parser() -> CommandParser:
    root = CommandParser("tool")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    run = commands.add_parser("run")
    run.add_argument("path", metavar="PATH")
    run.add_argument("--folder", type=Path)
    run.add_argument("--epochs", "--num-epochs", type=int)
    run.add_argument("--rate", type=float)
    run.add_argument("--share", type=share)
    run.add_argument("--mode", choices=["quick", "slow"])
    run.add_argument("--resume", action=argparse.BooleanOptionalAction)
    run.set_defaults(run=lambda args: 0)
    return root


def share(text: str) -> float:
    raise argparse.ArgumentTypeError(f"must be 50% or so; got {text!r}")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "missing: COMMAND; see tool --help"),
        ("ran", "COMMAND: must be one of run; got 'ran'; see tool --help"),
        ("run", "missing: PATH; see tool run --help"),
        ("run a b", "unrecognized arguments: b; see tool run --help"),
        ("run a --epochs abc", "--epochs: must be a whole number; got 'abc'; see tool run --help"),
        ("run a --num-epochs 1.5", "--epochs: must be a whole number; got '1.5'; see tool run --help"),
        ("run a --epochs 1\n2", r"--epochs: must be a whole number; got '1\n2'; see tool run --help"),
        ("run a --epochs", "--epochs: needs a value behind it; see tool run --help"),
        ("run a --rate fast", "--rate: must be a number; got 'fast'; see tool run --help"),
        ("run a --share x", "--share: must be 50% or so; got 'x'; see tool run --help"),
        ("run a --mode middling", "--mode: must be one of quick, slow; got 'middling'; see tool run --help"),
        ("run a --resume=3", "--resume: takes no value; got '3'; see tool run --help"),
        ("run a --r 3", "ambiguous option: --r could match --rate, --resume; see tool run --help"),
        ("run a --epochz=3", "unrecognized arguments: --epochz=3 (is --epochs meant?); see tool run --help"),
        (
            "run a --folder=",
            "--folder: is empty; name a file or a folder (. is the current folder); see tool run --help",
        ),
        ("run a --wrong\nx", "unrecognized arguments: --wrong x; see tool run --help"),
    ],
)
def test_one_line_and_code_2(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(parser(), words.split(" ") if words else []) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"tool: error: {line}\n")


def test_what_is_right_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    args = parser().parse_args(["run", "a", "--epochs", "3", "--rate", "1e-3", "--mode", "slow", "--no-resume"])
    assert (args.path, args.epochs, args.rate, args.mode, args.resume) == ("a", 3, 1e-3, "slow", False)
    assert run_command(parser(), ["run", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: tool run")
