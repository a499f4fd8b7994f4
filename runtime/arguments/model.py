"""Which model is run, and how."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.contract import Overrides
    from runtime.options import ModelOptions


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``--model`` and what can be said about it: the fields of ``ModelOptions``."""
    parser.add_argument(
        "--model", metavar="M", type=Path, help="a .tflite file, or a folder of exports (default: ./model)"
    )
    add_overrides(parser)
    parser.add_argument("--threads", metavar="N", type=int, help="of the interpreter (default: all, at most 4)")


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

    if args.threads is not None and not 1 <= args.threads <= 256:
        raise UsageError(f"--threads must be 1 to 256, not {args.threads}")
    return ModelOptions(args.model, overrides_of(args), args.threads)
