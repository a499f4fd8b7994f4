"""``toolkit inspect``: what a folder of pictures holds, and what is wrong with it, before training."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from runtime.command import HelpFormatter
from runtime.errors import UsageError
from runtime.file_kind import shown

_DESCRIPTION = """\
Look at a folder that has one folder of pictures for each class, as `toolkit train` takes it, and say what it holds
and what may be wrong with it. Nothing in it is changed.

The table has the number of pictures of each class, their share, and the sizes of the smallest, the median and the
largest. Below it stands what was found, what matters most first.

  what training stops at   a class folder whose name is not UTF-8, or that cannot be read
  unreadable files         damaged, cut short, or no pictures at all
  the same file twice      in one class, or in two: then one label is wrong
  near duplicates          saved anew: recompressed, resized, mirrored ...
  few, imbalance           classes too small, or much smaller than others
  blank, very small        nearly one colour; a side under 64 pixels
  odd shape                more than 4 times as long as wide
  wrong ending, unusual    a PNG file named .jpg; CMYK, 16 bits, animations
  not used                 what training does not look at, and why
  labels.csv               lines without a picture, pictures without a line
"""
_EPILOG = """\
examples:
  toolkit inspect photos/
  toolkit inspect photos/ --html photos.html    a page with the pictures
  toolkit inspect photos/ --multi-label         several labels a picture, from photos/labels.csv
  toolkit inspect photos/ --json | jq '.findings.unreadable.items[].paths[]'

Near duplicates have perceptual hashes (DCT, 256 bits) that differ in 30 bits or fewer; a picture and its crop by
more than about 2 % are two pictures to it. Hashes are kept in the cache by content: a second look decodes only what
is new.

exit codes: 0 the folder was looked at, whatever was found; 1 there is nothing to look at, or a file cannot be
written; 2 wrong usage
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``inspect`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "inspect",
        help="look at a folder of pictures before training on it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("image_dir", nargs="?", metavar="IMAGE_DIR", type=Path, help="a folder per class")
    parser.add_argument(
        "--multi-label",
        action="store_true",
        help="as `toolkit train --multi-label` takes it: labels from a labels.csv, or from several class folders",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write a page with the pictures in question")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, with every case")
    parser.add_argument("--cache-dir", metavar="DIR", type=Path, help="for hashes (default: the user's cache)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look at the folder and say what was seen; returns the exit code."""
    if args.image_dir is None:
        raise UsageError("name the folder of pictures: toolkit inspect photos/ (sample-data makes one to try)")
    if args.html is not None and args.html.is_dir():
        raise UsageError(f"--html {shown(args.html)} is a folder; name a file, for example photos.html")
    from toolkit.folders import check_writable, default_cache_dir
    from toolkit.inspection.look import inspect_folder
    from toolkit.inspection.text import render_text

    if args.html is not None:
        check_writable("--html", args.html)
    inspection = inspect_folder(
        args.image_dir, args.cache_dir or default_cache_dir(), "multi-label" if args.multi_label else "single-label"
    )
    if args.json:
        print(json.dumps(inspection.to_json(), ensure_ascii=False))
    else:
        print(render_text(inspection))
    if args.html is not None:
        from toolkit.inspection.page import write_page

        write_page(inspection, args.html)
        print(f"page written to {shown(args.html)}", file=sys.stderr)
    return 0
