"""``toolkit evaluate``: how a model does on a folder of pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.arguments.model import add_overrides
from runtime.command import HelpFormatter
from runtime.file_kind import shown

if TYPE_CHECKING:
    from toolkit.evaluate import EvaluateResult
    from toolkit.evaluation import Evaluation

_DESCRIPTION = """\
Run a model over a folder that has one folder of pictures for each class, and report how often it is right and
where it is wrong: the same report.html and metrics.json that a training leaves in its bundle.

  toolkit evaluate MODEL photos/     photos/cat/*.jpg, photos/dog/*.jpg

MODEL is a .tflite file, ours or anybody's, or a bundle of `toolkit train`. Of a bundle the float32 export is run
where `toolkit convert` has made it, else the trained model is converted to float32 first (some 20 seconds, once).

Folders are matched to the model's classes by name. Pictures in a folder that is named like no class count as
pictures of no class, for which `unknown` is the right answer; classes without a folder are not measured. Of a
multi-label model's folder a labels.csv counts, as in training.
"""
_EPILOG = """\
examples:
  toolkit evaluate model holidays/
  toolkit evaluate model/export/flowers_int8.tflite photos/ --output-dir int8-on-photos
  toolkit evaluate other.tflite photos/ --labels labels.txt --mean 127.5 --std 127.5

report.html is one file: open it in a browser, send it by mail. In the table "precision" is the share of right
answers among those with this class, "recall" the share of its pictures that were found, and "F1" their mean.
"""
# Classes that the terminal shows; the report has them all.
_MOST_CLASSES = 25


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``evaluate`` with the subparsers of ``toolkit``."""
    parser = subparsers.add_parser(
        "evaluate",
        help="report how a model does on a folder of pictures",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a bundle of `toolkit train`, or a .tflite file")
    parser.add_argument("image_dir", metavar="IMAGE_DIR", type=Path, help="a folder per class")
    parser.add_argument(
        "--output-dir",
        metavar="DIR",
        type=Path,
        default=Path("evaluation"),
        help="for report.html and metrics.json, which are replaced (default: %(default)s)",
    )
    add_overrides(parser)
    parser.add_argument("--cache-dir", metavar="DIR", type=Path, help="for converted models (default: the user's)")
    parser.add_argument("--json", action="store_true", help="the content of metrics.json on standard output, one line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate as ``args`` asks and print the figures; returns the exit code."""
    from runtime.contract import Overrides
    from toolkit.evaluate import EvaluateOptions, evaluate
    from toolkit.progress import say
    from toolkit.records import counted

    options = EvaluateOptions(
        output_dir=args.output_dir,
        overrides=Overrides(args.labels, args.mean, args.std, args.resample),
        cache_dir=args.cache_dir,
        command=args.command_line,
    )
    result = evaluate(args.model, args.image_dir, options, notify=say)
    for file in result.skipped:
        print(f"skipped: {shown(file.path)}: {file.reason}", file=sys.stderr)
    if result.skipped:
        print(f"{counted(len(result.skipped), 'file', 'files')} skipped, listed above", file=sys.stderr)
    if args.json:
        print(json.dumps(result.metrics, ensure_ascii=False))
    else:
        _report(result)
    return 0


def _report(result: EvaluateResult) -> None:
    evaluation = result.evaluation
    print(class_table(evaluation))
    print()
    name = "exact match" if evaluation.multi_label else "accuracy"
    print(f"{name:<20} {evaluation.accuracy}")
    if evaluation.multi_label and evaluation.macro["average_precision"] is not None:
        print(f"{'mean precision':<20} {evaluation.macro['average_precision']:.1%} (mean of the average precisions)")
    if evaluation.reliability.answers:
        print(f"{'calibration error':<20} {evaluation.reliability}")
    nothing = "answered with no label" if evaluation.multi_label else "answered unknown"
    rejected = evaluation.rejected
    if evaluation.multi_label and rejected.images:
        print(f"{'with labels':<20} {rejected.images} pictures, {rejected.correct} of them {nothing}")
    if evaluation.unknown_below > 0:
        print(f"{'answered unknown':<20} {rejected.correct} of {rejected.images}")
    if evaluation.negatives.images:
        negatives = evaluation.negatives
        print(f"{'of no class':<20} {negatives.images} pictures, {negatives.correct} of them {nothing}")
    print(f"report: {shown(result.folder / 'report.html')}")


def class_table(evaluation: Evaluation) -> str:
    """Figures of each class with pictures, the weakest first where there are too many for a terminal."""
    from toolkit.tables import render_table

    classes = [figures for figures in evaluation.per_class if figures.support or figures.false_positives]
    left_out = len(classes) - _MOST_CLASSES
    if left_out > 0:
        classes = sorted(classes, key=lambda figures: figures.f1 or 0.0)[:_MOST_CLASSES]
    rows = [
        [shown(c.label), str(c.support), *(_percent(value) for value in (c.precision, c.recall, c.f1))] for c in classes
    ]
    table = render_table(
        ["label" if evaluation.multi_label else "class", "pictures", "precision", "recall", "F1"], rows
    )
    return table + (f"\nthe weakest; {left_out} more classes are in the report" if left_out > 0 else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
