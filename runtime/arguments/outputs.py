"""What is done with answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.options import OutputOptions


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the fields of ``OutputOptions``."""
    group = parser.add_argument_group("outputs")
    group.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


def output_options(args: argparse.Namespace) -> OutputOptions:
    """What ``add_outputs`` asked for."""
    from runtime.options import OutputOptions

    return OutputOptions(json=args.json)
