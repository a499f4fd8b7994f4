"""``toolkit sample-data``: pictures to try the toolkit on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import HelpFormatter
from runtime.errors import UsageError
from toolkit.typed import typed

if TYPE_CHECKING:
    from toolkit.sample_data import SampleData

_DESCRIPTION = """\
Get pictures to try the toolkit on, sorted the way `toolkit train` reads them: one folder per class.

  shapes    draws circles, squares, pluses and triangles: no network, ready in seconds, easy to learn
  flowers   downloads TensorFlow's 3,670 flower photographs of five kinds (229 MB), a real task
"""

_EPILOG = """\
examples:
  toolkit sample-data shapes shapes               200 pictures of each shape in ./shapes
  toolkit sample-data shapes shapes --count 500   300 more of each; those that are there stay
  toolkit sample-data shapes other --seed 1       other pictures of the same kind
  toolkit sample-data flowers flowers             the flower photographs in ./flowers

then train on them:
  toolkit train shapes

An interrupted drawing or download goes on where it was when the same command is typed again. A folder that
holds anything else is left alone. The same seed draws the same pictures.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``sample-data`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "sample-data",
        help="get pictures to try the toolkit on: drawn shapes, or flower photographs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("kind", choices=["shapes", "flowers"], help="which pictures")
    parser.add_argument("folder", metavar="DIR", type=Path, help="where to put them; a new or empty folder")
    parser.add_argument(
        "--count", metavar="N", type=int, help="shapes only: number of pictures of each shape (default: 200)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, help="shapes only: another number draws other pictures (default: 0)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the pictures that ``args`` asks for and say where they are; returns the exit code."""
    if args.kind == "flowers":
        if args.count is not None or args.seed is not None:
            raise UsageError("--count and --seed are for shapes; flowers are always the same 3,670 photographs")
        from toolkit.sample_data import fetch_flowers

        _report(fetch_flowers(args.folder))
        return 0
    if args.count is not None and args.count < 1:
        raise UsageError(f"--count must be 1 or more, not {args.count}")
    if args.seed is not None and args.seed < 0:
        raise UsageError(f"--seed must be 0 or more, not {args.seed}")
    from toolkit.sample_data import DEFAULT_COUNT, draw_shapes

    count = DEFAULT_COUNT if args.count is None else args.count
    _report(draw_shapes(args.folder, count, args.seed or 0))
    return 0


def _report(data: SampleData) -> None:
    if data.new == data.files:
        made = "all new"
    else:
        made = f"{data.new} of them new" if data.new else "all of them there already"
    classes = ", ".join(data.classes)
    print(f"{data.files} pictures of {len(data.classes)} classes ({classes}) in {data.folder}, {made}")
    print(f"next: toolkit train {typed(data.folder)}")
