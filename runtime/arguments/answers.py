"""Which answers are wanted."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from runtime.command import name_argument
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.answers import AnswerRules


def add_answers(parser: argparse.ArgumentParser) -> None:
    """Add the fields of ``AnswerRules``."""
    group = parser.add_argument_group("answers")
    group.add_argument("--top-k", metavar="N", type=int, default=5, help="predictions a picture (default: 5)")
    group.add_argument(
        "--threshold", metavar="S", type=float, default=0.0, help="least score shown, 0 to 1 (default: 0)"
    )
    group.add_argument(
        "--allow", metavar="LABEL", type=name_argument, action="append", help="answer only this label; may be repeated"
    )
    group.add_argument(
        "--deny", metavar="LABEL", type=name_argument, action="append", help="never answer this label; may be repeated"
    )
    group.add_argument(
        "--smooth",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="average a camera's scores over about so long, and let a label go only when it is clearly gone (default: "
        "0, each frame by itself)",
    )


def answer_rules(args: argparse.Namespace) -> AnswerRules:
    """What ``add_answers`` asked for.

    Raises:
        UsageError: a value that cannot be, or ``--smooth`` without a camera.
    """
    from runtime.answers import AnswerRules

    if args.top_k < 1:
        raise UsageError(f"--top-k must be 1 or more, not {args.top_k}")
    if not 0 <= args.threshold <= 1:
        raise UsageError(f"--threshold must be 0 to 1, not {args.threshold:g}")
    if not 0 <= args.smooth <= 3600:
        raise UsageError(f"--smooth must be 0 to 3600 seconds, not {args.smooth:g}")
    if args.smooth and getattr(args, "camera", None) is None:
        raise UsageError("--smooth needs --camera")
    return AnswerRules(args.top_k, args.threshold, tuple(args.allow or ()), tuple(args.deny or ()), args.smooth)
