"""``runtime doctor``: look at the device."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

DESCRIPTION = "Look at this device, and print for each fault the command that mends it."
EPILOG = """\
examples:
  runtime doctor
  runtime doctor flowers_int8.tflite              and whether this model runs here
  runtime doctor --json

It looks at Python, interpreter and numpy, at cameras and who may open them, at libcamera and picamera2 in this virtual
environment, at heat and power, at free memory and disk, and at models: each is loaded and run once, in a process of its
own. Exit code 1 where something is broken.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", type=Path, help=".tflite files, or folders of exports (default: ./model)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Examine; returns 1 where there is a fault."""
    from runtime.doctor.report import as_json, as_text, examine

    findings = examine(args.models)
    sys.stdout.write((as_json(findings) if args.json else as_text(findings)) + "\n")
    return int(any(finding.status == "fault" for finding in findings))
