"""``toolkit train``: a folder of pictures to a model bundle."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import HelpFormatter
from runtime.errors import UsageError
from runtime.file_kind import shown
from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE

if TYPE_CHECKING:
    from toolkit.records import SkippedFile
    from toolkit.train import TrainResult

_DESCRIPTION = """\
Train a picture classifier on a folder that has one folder of pictures for each class:

  photos/cat/*.jpg
  photos/dog/*.jpg

A network that learned a million ImageNet pictures turns each of yours into numbers (kept in a cache: the next
run is quick), and a classifier is trained on those. The result is a bundle: a folder with the model, its labels
and its preprocessing, from which `toolkit convert` makes the files for the device.
"""
_EPILOG = """\
examples:
  toolkit train photos/
  toolkit train photos/ --architecture efficientnet_lite0 --output-dir flowers
  toolkit train photos/ --architecture mobilenet_0.50_160 --model-dir weights/
  toolkit train photos/ --testing-percentage 20

Which picture trains, validates or tests is decided by its content: adding pictures, renaming files or moving the
folder moves none of them. A run that was killed goes on where it was when the same command is typed again.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``train`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "train",
        help="train a classifier on a folder of pictures",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("image_dir", nargs="?", metavar="IMAGE_DIR", type=Path, help="a folder per class")
    parser.add_argument(
        "--architecture",
        metavar="NAME",
        default=DEFAULT_ARCHITECTURE,
        help="network to start from (default: %(default)s; `toolkit architectures` lists them)",
    )
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        type=Path,
        default=Path("model"),
        help="for the bundle (default: model)",
    )
    parser.add_argument("--name", help="of the model and its files (default: the picture folder's name)")
    parser.add_argument("--model-dir", metavar="DIR", type=Path, help="folder with weight files you have already")
    parser.add_argument(
        "--cache-dir", metavar="DIR", type=Path, help="for features and downloads (default: the user's cache)"
    )
    parser.add_argument(
        "--weights",
        choices=["imagenet", "none"],
        default="imagenet",
        help="none starts from random weights: to try the mechanics, not to get a good model",
    )
    _add_split_options(parser)
    parser.add_argument(
        "--calibration-images",
        metavar="N",
        type=int,
        default=200,
        help="training pictures kept in the bundle for quantisation (default: 200)",
    )
    parser.add_argument(
        "--class-weights",
        choices=["auto", "none"],
        default="auto",
        help="auto: every class counts the same where one has twice as many pictures as another, or more; "
        "none: every picture counts the same",
    )
    parser.add_argument(
        "--label-smoothing",
        metavar="S",
        type=float,
        default=0.0,
        help="share of each target spread over all classes, against overconfidence (default: 0)",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")
    parser.set_defaults(run=run)


def _add_split_options(parser: argparse.ArgumentParser) -> None:
    for share, flag in (("validation", "--validation-percentage"), ("test", "--testing-percentage")):
        parser.add_argument(
            flag, metavar="P", type=float, default=10.0, help=f"share of {share} pictures (default: 10)"
        )


def run(args: argparse.Namespace) -> int:
    """Train as ``args`` asks and say what came out; returns the exit code."""
    if args.image_dir is None:
        raise UsageError("name the folder of pictures: toolkit train photos/ (sample-data makes one to try)")
    from toolkit.head import HeadOptions
    from toolkit.split import SplitOptions
    from toolkit.train import TrainOptions, train

    options = TrainOptions(
        output_dir=args.output_dir,
        architecture=args.architecture,
        name=args.name,
        weights=args.weights,
        model_dir=args.model_dir,
        cache_dir=args.cache_dir,
        split=SplitOptions(args.validation_percentage, args.testing_percentage),
        head=HeadOptions(class_weights=args.class_weights, label_smoothing=args.label_smoothing, seed=args.seed),
        calibration_images=args.calibration_images,
        seed=args.seed,
    )
    result = train(args.image_dir, options, notify=lambda line: print(line, file=sys.stderr))
    _report_skipped(result.skipped)
    if args.json:
        print(json.dumps(_as_json(result), ensure_ascii=False))
    else:
        _report(result)
    return 0


def _report_skipped(skipped: tuple[SkippedFile, ...]) -> None:
    for file in skipped:
        print(f"skipped: {shown(file.path)}: {file.reason}", file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} files skipped, listed above", file=sys.stderr)


def _report(result: TrainResult) -> None:
    for share, accuracy in result.accuracy.items():
        print(f"{share + ' accuracy':<20} {accuracy}")
    folder = result.folder
    if result.written:
        print(f"model written to {shown(folder)}")
    else:
        print(f"{shown(folder)} holds this very model already; left as it is")
    argument = "" if folder == Path("model") else f" {shlex.quote(str(folder))}"
    print(f"next: toolkit convert{argument} --quantize")


def _as_json(result: TrainResult) -> dict[str, object]:
    return {
        "folder": str(result.folder),
        "name": result.spec.name,
        "architecture": result.spec.backbone,
        "labels": list(result.spec.labels),
        "images": result.images,
        "features_from_cache": result.from_cache,
        "accuracy": {share: accuracy.to_json() for share, accuracy in result.accuracy.items()},
        "skipped": [{"path": str(file.path), "reason": file.reason} for file in result.skipped],
        "written": result.written,
    }
