"""``runtime info``: what a model file holds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = "Show inputs, outputs, quantisation, labels, preprocessing and operators of a .tflite file."
EPILOG = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a .tflite file, or a folder of exports")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Show it; returns the exit code."""
    from runtime.find_model import find_model
    from runtime.info import info_json, info_text

    model = find_model(args.model, option="")
    sys.stdout.write((info_json(model) if args.json else info_text(model)) + "\n")
    return 0
