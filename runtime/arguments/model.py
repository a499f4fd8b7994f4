"""Which model is run, and how."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import name_argument
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.contract import Overrides
    from runtime.delegates import Delegate
    from runtime.options import ModelOptions

_THREADS = (
    "of the interpreter (default: all processors, at most 4; with many pictures one for each of several "
    "interpreters at once)"
)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model`` and what can be said about it: the fields of ``ModelOptions``."""
    parser.add_argument(
        "--model", metavar="M", type=Path, help="a .tflite file, or a folder of exports (default: ./model)"
    )
    add_overrides(parser)
    add_interpreter(parser)
    parser.add_argument(
        "--autotune",
        action="store_true",
        help="measure at the start how many threads, and XNNPACK on or off, are quickest here, and say so; "
        "what --threads and --xnnpack say stays",
    )


def add_interpreter(parser: argparse.ArgumentParser, threads: str = _THREADS) -> None:
    """Add how the interpreter works; ``threads`` is the help of that option."""
    parser.add_argument("--threads", metavar="N", type=int, help=threads)
    parser.add_argument(
        "--xnnpack",
        choices=("auto", "on", "off"),
        default="auto",
        help="whether the library XNNPACK does the arithmetic: auto is the interpreter's own choice; on, for 8-bit "
        "models too, where tflite-runtime 2.14 leaves it out (default: auto)",
    )
    parser.add_argument(
        "--delegate",
        metavar="D",
        type=name_argument,
        help="edgetpu, or PATH[:key=value,...] of a library that takes operators over; tried in a process of its own "
        "first, so that a crash is a message",
    )


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add what the user can say about a model that does not say it itself: the fields of ``Overrides``."""
    filters = ("bilinear", "tf-bilinear", "nearest", "bicubic", "lanczos")
    parser.add_argument("--labels", metavar="L", type=Path, help="a text file with one label a line")
    parser.add_argument(
        "--mean", metavar="X[,X,X]", type=_numbers, help="subtracted from 0..255 pixels; one number or three"
    )
    parser.add_argument("--std", metavar="X[,X,X]", type=_numbers, help="what the difference is divided by")
    parser.add_argument(
        "--resample",
        choices=filters,
        help="resize filter instead of the model's own; tf-bilinear is TensorFlow's (half-pixel centres, no "
        "antialias), the others are Pillow's",
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"one number or three separated by commas, not {text!r}") from None
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"one number or three separated by commas, not {text!r}")
    return values


def overrides_of(args: argparse.Namespace) -> Overrides:
    """What ``add_overrides`` asked for."""
    from runtime.contract import Overrides

    return Overrides(args.labels, args.mean, args.std, args.resample)


def model_options(args: argparse.Namespace) -> ModelOptions:
    """What ``add_model`` asked for.

    Raises:
        UsageError: a value that cannot be.
    """
    from runtime.options import ModelOptions

    check_threads(args)
    return ModelOptions(
        args.model, overrides_of(args), args.threads, args.xnnpack, delegate_of(args), autotune=args.autotune
    )


def check_threads(args: argparse.Namespace) -> None:
    """Refuse a number of threads that cannot be.

    Raises:
        UsageError: it cannot.
    """
    if args.threads is not None and not 1 <= args.threads <= 256:
        raise UsageError(f"--threads must be 1 to 256, not {args.threads}")


def delegate_of(args: argparse.Namespace) -> Delegate | None:
    """The delegate that was asked for.

    Raises:
        UsageError: it is asked for wrongly.
    """
    if args.delegate is None:
        return None
    from runtime.delegates import Delegate

    return Delegate.parse(args.delegate)
