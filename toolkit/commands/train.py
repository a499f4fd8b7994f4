"""``toolkit train``: a folder of pictures to a model bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import HelpFormatter, last_words
from runtime.errors import UsageError
from runtime.file_kind import shown
from toolkit.commands.train_arguments import add_train_arguments, train_options
from toolkit.commands.train_idle_options import check_contradictions, idle_options
from toolkit.commands.train_retrain_options import add_retrain_arguments
from toolkit.typed import typed

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
  toolkit train photos/ --best --mode finetune
  toolkit train photos/ --architecture efficientnet_lite0 --output-dir flowers
  toolkit train photos/ --architecture mobilenet_0.50_160 --model-dir weights/
  toolkit train photos/ --testing-percentage 20

Which picture trains, validates or tests is decided by its content: adding pictures, renaming files or moving the
folder moves none of them, but in classes so small that a share would lack them (one in four with 20 pictures, one in
a hundred with 50): these give it the picture nearest to the border. A run that was killed goes on where it was when
the same command is typed again.
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
    add_train_arguments(parser)
    add_retrain_arguments(parser)
    parser.set_defaults(run=run, default_of=parser.get_default)


def run(args: argparse.Namespace) -> int:
    """Train as ``args`` asks and say what came out; returns the exit code."""
    if args.image_dir is None:
        raise UsageError("name the folder of pictures: toolkit train photos/ (sample-data makes one to try)")
    check_contradictions(args)
    options = train_options(args)
    for line in idle_options(args):
        print(line, file=sys.stderr)
    from toolkit.progress import say
    from toolkit.train import train

    result = train(args.image_dir, options, notify=say)
    with last_words(f"the model is safe in {shown(result.folder)}"):
        _report_skipped(result.skipped)
        for path in result.extra:
            print(f"written: {shown(path)}", file=sys.stderr)
        if args.json:
            print(json.dumps(_as_json(result), ensure_ascii=False))
        else:
            _report(result)
            _report_test(result, args)
    return 0


def _report_test(result: TrainResult, args: argparse.Namespace) -> None:
    """What retrain.py says at its end, where that is asked for."""
    from toolkit.retrain_progress import final_line, misclassified_lines, random_batch

    evaluation = result.evaluations["test"]
    known = [int(row) for row in evaluation.truth.any(axis=1).nonzero()[0]]
    if args.print_misclassified and evaluation.task == "single-label":
        paths = [evaluation.sources[row] for row in known]
        class_ids = [int(i) for i in evaluation.truth[known].argmax(axis=1)]
        for line in misclassified_lines(
            paths, class_ids, [int(i) for i in evaluation.answers[known]], evaluation.labels
        ):
            print(line)
    if args.eval_interval is not None and evaluation.task == "single-label":
        rows = [known[i] for i in random_batch(len(known), args.test_batch_size, args.seed)]
        right = (evaluation.truth[rows].argmax(axis=1) == evaluation.answers[rows]).sum() if rows else 0
        print(final_line(int(right), len(rows)))


def _report_skipped(skipped: tuple[SkippedFile, ...]) -> None:
    from toolkit.records import counted

    for file in skipped:
        print(f"skipped: {shown(file.path)}: {file.reason}", file=sys.stderr)
    if skipped:
        print(f"{counted(len(skipped), 'file', 'files')} skipped, listed above", file=sys.stderr)


def _report(result: TrainResult) -> None:
    from converters.bundle import REPORT_PAGE

    for share, accuracy in result.accuracy.items():
        print(f"{share + ' accuracy':<20} {accuracy}")
    if result.spec.task == "multi-label":
        print("a picture counts as right when exactly its labels are answered, each from its own least score on")
    folder = result.folder
    if result.written:
        print(f"model written to {shown(folder)}")
    else:
        print(f"{shown(folder)} holds this very model already; left as it is")
    argument = "" if folder == Path("model") else f" {typed(folder)}"
    print(f"report: {shown(folder / REPORT_PAGE)}")
    print(f"next: toolkit convert{argument} --quantize")


def _as_json(result: TrainResult) -> dict[str, object]:
    from converters.bundle import REPORT_PAGE

    return {
        "folder": str(result.folder),
        "name": result.spec.name,
        "architecture": result.spec.backbone,
        "labels": list(result.spec.labels),
        "images": result.images,
        "features_from_cache": result.from_cache,
        "accuracy": {share: accuracy.to_json() for share, accuracy in result.accuracy.items()},
        "skipped": [{"path": str(file.path), "reason": file.reason} for file in result.skipped],
        "unknown_below": result.spec.unknown_below,
        "report": str(result.folder / REPORT_PAGE),
        "written": result.written,
    }
