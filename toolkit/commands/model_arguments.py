"""Options that say of a model what it does not say itself; ``predict`` and ``convert`` share them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.spec import RESAMPLE_FILTERS

if TYPE_CHECKING:
    from converters.inputs.hints import Hints


def add_model_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Register the options that ``read_hints`` reads."""
    add_option(
        parser,
        "--labels",
        "--label-file",
        metavar="FILE",
        help="one label a line; the word imagenet takes the names of ImageNet's classes",
    )
    add_option(parser, "--input-layer", metavar="NAME", help="of a graph: what takes the picture")
    add_option(parser, "--output-layer", metavar="NAME", help="of a graph: what gives the scores")
    add_option(parser, "--input-mean", "--mean", metavar="X[,X,X]", type=_numbers, help="subtracted from 0..255 pixels")
    add_option(
        parser, "--input-std", "--std", metavar="X[,X,X]", type=_numbers, help="what the difference is divided by"
    )
    add_option(parser, "--input-height", metavar="N", type=int, help="pixels")
    add_option(parser, "--input-width", metavar="N", type=int, help="pixels")
    parser.add_argument("--resample", choices=RESAMPLE_FILTERS, help="resize filter; TensorFlow's is tf-bilinear")


def read_hints(args: argparse.Namespace) -> Hints:
    """What these options say."""
    from converters.inputs.hints import Hints

    return Hints(
        labels=args.labels,
        input_layer=args.input_layer,
        output_layer=args.output_layer,
        mean=args.input_mean,
        std=args.input_std,
        height=args.input_height,
        width=args.input_width,
        resample=args.resample,
    )


def add_calibration_dir(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Register ``--calibration-dir``."""
    add_option(
        parser,
        "--calibration-dir",
        metavar="DIR",
        type=Path,
        help="pictures, in any folders, for a model that is no bundle: some set the ranges of int8 and int16x8, the "
        "others check the files; a folder named like a label says what its pictures show",
    )


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup, *flags: str, **options: Any) -> None:
    """Add an option under its names, and under those with underscores, as they were typed for years."""
    old = [f"--{flag[2:].replace('-', '_')}" for flag in flags]
    parser.add_argument(*dict.fromkeys([*flags, *old]), **options)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"one number or three separated by commas, not {text!r}")
    return values
