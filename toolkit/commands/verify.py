"""``toolkit verify``: every proof of an exported file once more."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import HelpFormatter

if TYPE_CHECKING:
    from converters.verification import Verification

_DESCRIPTION = """\
Prove a .tflite file again: that it is the one export.json speaks of, that it is what its name says, that its
operators are no newer than they may be, that it runs, and how its answers compare with the trained model's.

  toolkit verify MODEL.tflite --against BUNDLE     the trained model and its test pictures
  toolkit verify MODEL.tflite --against PHOTOS     a folder per class, or any pictures

With pictures alone the NAME_float32.tflite beside the file, where there is one, stands for the trained model.
"""
_EPILOG = """\
examples:
  toolkit verify model/export/flowers_int8.tflite --against model
  toolkit verify model/export/flowers_int8.tflite --against holidays/ --json

Where Python has no tflite-runtime beside TensorFlow, it is run in an environment of its own: --floor-python, the
variable EDGE_EXPORT_FLOOR_PYTHON, or ~/.local/share/edge-export-toolkit/floor, made once with

  python3.11 -m venv ~/.local/share/edge-export-toolkit/floor
  ~/.local/share/edge-export-toolkit/floor/bin/pip install tflite-runtime==2.14.0 'numpy<2' pillow
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``verify`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "verify",
        help="prove an exported file again",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL.tflite", type=Path, help="the file")
    parser.add_argument(
        "--against",
        metavar="DIR",
        type=Path,
        required=True,
        help="a bundle of `toolkit train`, or a folder of pictures",
    )
    parser.add_argument(
        "--max-accuracy-drop",
        metavar="POINTS",
        type=float,
        help="a loss that is larger fails (default: what export.json says, or 2)",
    )
    parser.add_argument(
        "--min-runtime",
        metavar="VERSION",
        default="2.14",
        help="the oldest interpreter that must load it: a TensorFlow release, or litert (default: 2.14)",
    )
    parser.add_argument("--floor-python", metavar="PATH", type=Path, help="a Python that has tflite-runtime")
    parser.add_argument("--json", action="store_true", help="all of it as one JSON object on standard output")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Verify as ``args`` asks and print what was found; returns the exit code."""
    from runtime.errors import ModelError
    from toolkit.verify import verify

    verification = verify(
        args.model,
        args.against,
        max_accuracy_drop=args.max_accuracy_drop,
        min_runtime=args.min_runtime,
        floor_python=args.floor_python,
        notify=lambda line: print(line, file=sys.stderr),
    )
    if args.json:
        print(json.dumps(verification.to_json(), ensure_ascii=False))
    else:
        _print(verification)
    if verification.failed:
        names = ", ".join(check.name for check in verification.failed)
        raise ModelError(f"{verification.path.name} fails: {names}")
    return 0


def _print(verification: Verification) -> None:
    from toolkit.proof_table import run_table

    width = max(len(check.name) for check in verification.checks)
    for check in verification.checks:
        state = check.state.upper() if check.state == "failed" else check.state
        print(f"{state:<8}  {check.name:<{width}}  {check.text}")
    if verification.runs:
        print()
        print(run_table([run.to_json() for run in verification.runs], verification.compared))
