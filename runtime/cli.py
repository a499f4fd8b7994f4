"""The ``runtime`` command: classify pictures and camera frames, look into model files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.command import CommandParser, HelpFormatter, name_argument, run_command
from runtime.errors import UsageError

_DESCRIPTION = "Runs picture classifiers (.tflite) on this device."
_EPILOG = """\
examples:
  runtime classify photo.jpg                      the export in ./model, int8 preferred
  runtime classify --model flowers_int8.tflite photos/
  runtime classify --camera 0 --json              one JSON object a frame
  runtime info flowers_int8.tflite                what is in a model file

exit codes: 0 done, 1 bad data (a file, a camera, the model), 2 wrong usage
"""
_CLASSIFY_EPILOG = """\
examples:
  runtime classify photo.jpg
  runtime classify --top-k 1 --threshold 0.6 photos/ more.png
  runtime classify --camera 0                     a camera, by its number; Ctrl-C ends it
  runtime classify --camera clip.mp4              frames of a video file, or a URL
  runtime classify --model other.tflite --labels labels.txt --mean 127.5 --std 127.5 photo.jpg

Labels and preprocessing come from the model file: our own spec, else its standard TFLite Metadata. For files
that carry neither, --labels, --mean and --std say them. Many models that others quantised were made with
TensorFlow's resize, which does not smooth: --resample tf-bilinear gives their published results.

Of a multi-label model every label that holds is shown, each from its own least score on; the others, in brackets, are
guesses below it.
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; loads nothing heavy."""
    raw = HelpFormatter
    parser = CommandParser("runtime", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    classify = commands.add_parser(
        "classify",
        help="name what pictures or camera frames show",
        description="Name what pictures, folders of pictures, or camera frames show.",
        epilog=_CLASSIFY_EPILOG,
        formatter_class=raw,
    )
    classify.add_argument(
        "paths", nargs="*", metavar="PATH", type=name_argument, help="pictures, and folders of pictures"
    )
    classify.add_argument("--camera", metavar="N|FILE|URL", help="frames of a camera, video file or stream")
    classify.add_argument(
        "--model", metavar="M", type=Path, help="a .tflite file, or a folder of exports (default: ./model)"
    )
    add_overrides(classify)
    classify.add_argument("--top-k", metavar="N", type=int, default=5, help="predictions a picture (default: 5)")
    classify.add_argument(
        "--threshold", metavar="S", type=float, default=0.0, help="least score shown, 0 to 1 (default: 0)"
    )
    classify.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    classify.add_argument("--threads", metavar="N", type=int, help="of the interpreter (default: all, at most 4)")
    classify.set_defaults(run=_classify)
    info = commands.add_parser(
        "info",
        help="show what a model file holds and which runtime it needs",
        description="Show inputs, outputs, quantisation, labels, preprocessing and operators of a .tflite file.",
    )
    info.add_argument("model", metavar="MODEL", type=Path, help="a .tflite file, or a folder of exports")
    info.add_argument("--json", action="store_true", help="one JSON object on standard output")
    info.set_defaults(run=_info)
    return parser


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


def _classify(args: argparse.Namespace) -> int:
    if args.top_k < 1:
        raise UsageError(f"--top-k must be 1 or more, not {args.top_k}")
    if not 0 <= args.threshold <= 1:
        raise UsageError(f"--threshold must be 0 to 1, not {args.threshold:g}")
    if args.threads is not None and not 1 <= args.threads <= 256:
        raise UsageError(f"--threads must be 1 to 256, not {args.threads}")
    if bool(args.paths) == (args.camera is not None):
        raise UsageError("name pictures or folders to classify, or --camera (one of the two)")
    from runtime.classify import ClassifyOptions, classify_all
    from runtime.contract import Overrides

    options = ClassifyOptions(
        paths=tuple(args.paths),
        camera=args.camera,
        model=args.model,
        overrides=Overrides(args.labels, args.mean, args.std, args.resample),
        top_k=args.top_k,
        threshold=args.threshold,
        json=args.json,
        threads=args.threads,
    )
    return classify_all(options, sys.stdout, sys.stderr)


def _info(args: argparse.Namespace) -> int:
    from runtime.classify import find_model
    from runtime.info import info_json, info_text

    model = find_model(args.model, option="")
    print(info_json(model) if args.json else info_text(model))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(build_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
