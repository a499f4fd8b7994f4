"""Where the live page is, and who may see it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from runtime.command import name_argument
from runtime.errors import UsageError
from runtime.page.options import PageOptions

_DEFAULT = PageOptions()
# What decodes to more memory is refused everywhere: ``runtime.images.MAX_PIXELS``.
_MOST_MEGAPIXELS = 89
_MOST_UPLOAD_MB = 256
_HOST_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add the fields of ``PageOptions``."""
    group = parser.add_argument_group("page")
    group.add_argument(
        "--host",
        type=name_argument,
        default=_DEFAULT.host,
        help="address of this machine that is listened on (default: 127.0.0.1, which only this machine reaches; "
        "0.0.0.0: every network it is in, and a token is demanded)",
    )
    group.add_argument(
        "--port", metavar="N", type=int, default=_DEFAULT.port, help="TCP port; 0 takes a free one (default: 8080)"
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="demand the token in this file, and make the file if it is missing (default: a new token at each start, "
        "and none for this machine alone)",
    )
    group.add_argument(
        "--allow-host",
        metavar="NAME",
        type=name_argument,
        action="append",
        help="a name that the page is asked for by, behind a proxy say; its own names and addresses are known; may be "
        "repeated",
    )
    group.add_argument(
        "--viewers", metavar="N", type=int, default=_DEFAULT.viewers, help="browsers that watch at a time (default: 4)"
    )
    group.add_argument(
        "--stream-fps",
        metavar="N",
        type=float,
        default=_DEFAULT.stream_fps,
        help="pictures a second that each of them gets at most (default: 15); the model's pace is its own",
    )
    group.add_argument(
        "--max-upload",
        metavar="MB",
        type=float,
        default=_DEFAULT.max_upload_bytes / 1e6,
        help=f"largest posted picture, in megabytes (default: {_DEFAULT.max_upload_bytes / 1e6:.0f})",
    )
    group.add_argument(
        "--max-megapixels",
        metavar="N",
        type=float,
        default=_DEFAULT.max_upload_pixels / 1e6,
        help=f"largest posted picture, in million pixels of 3 bytes each (default: "
        f"{_DEFAULT.max_upload_pixels / 1e6:.0f})",
    )


def page_options(args: argparse.Namespace) -> PageOptions:
    """What ``add_page`` asked for.

    Raises:
        UsageError: a value that cannot be.
    """
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port must be 0 to 65535, not {args.port}")
    if not 1 <= args.viewers <= 100:
        raise UsageError(f"--viewers must be 1 to 100, not {args.viewers}")
    if not 0.1 <= args.stream_fps <= 60:
        raise UsageError(f"--stream-fps must be 0.1 to 60, not {args.stream_fps:g}")
    if not 0.001 <= args.max_upload <= _MOST_UPLOAD_MB:
        raise UsageError(f"--max-upload must be 0.001 to {_MOST_UPLOAD_MB} (megabytes), not {args.max_upload:g}")
    if not 0.001 <= args.max_megapixels <= _MOST_MEGAPIXELS:
        raise UsageError(f"--max-megapixels must be 0.001 to {_MOST_MEGAPIXELS}, not {args.max_megapixels:g}")
    for name in args.allow_host or ():
        if not _HOST_NAME.fullmatch(name):
            raise UsageError(f"--allow-host must be a host name alone, like pi.example.org, not {name!r}")
    return PageOptions(
        host=args.host,
        port=args.port,
        token_file=args.token_file,
        allow_hosts=tuple(args.allow_host or ()),
        viewers=args.viewers,
        stream_fps=args.stream_fps,
        max_upload_bytes=round(args.max_upload * 1e6),
        max_upload_pixels=round(args.max_megapixels * 1e6),
    )
