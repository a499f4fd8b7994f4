"""Options of ``toolkit train`` that scripts written for ``retrain.py`` and for TensorFlow use."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.extra_outputs import ExtraOutputs


def add_retrain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them, in two groups; the training's are None unless given."""
    _add_training(parser.add_argument_group("training by steps, as retrain.py did (its own names work, too)"))
    _add_outputs(parser.add_argument_group("files beside the bundle, for TensorFlow and for retrain.py's scripts"))


def _add_training(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--steps",
        metavar="N",
        type=_count(1),
        help="batches to train the classifier on; the weights after the last one are kept, as retrain.py did (default: "
        "trained to its optimum; of what was tried, held-out pictures choose the best)",
    )
    group.add_argument("--learning-rate", metavar="R", type=_rate, help="of the training (default: chosen by it)")
    group.add_argument("--batch-size", metavar="N", type=_count(1), help="pictures in a step")
    group.add_argument(
        "--eval-interval",
        metavar="N",
        type=_count(1),
        help="steps between two reports of training and validation accuracy (default: no reports)",
    )
    group.add_argument(
        "--validation-batch-size",
        metavar="N",
        type=_count(1, everything=True),
        default=100,
        help="pictures, drawn anew for each report; -1: all of the validation share (default: 100)",
    )
    group.add_argument(
        "--test-batch-size",
        metavar="N",
        type=_count(1, everything=True),
        default=-1,
        help="pictures for the final test accuracy; -1: all of the test share (default: -1)",
    )
    group.add_argument("--print-misclassified", action="store_true", help="list the test pictures answered wrongly")


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--output-graph",
        metavar="FILE",
        type=Path,
        help="frozen GraphDef (.pb): input:0 (normalised picture) to final_result:0",
    )
    group.add_argument("--output-labels", metavar="FILE", type=Path, help="the labels, one a line")
    group.add_argument("--saved-model-dir", metavar="DIR", type=Path, help="TensorFlow SavedModel")
    group.add_argument(
        "--final-tensor-name",
        metavar="NAME",
        default="final_result",
        help="of the graph's output (default: %(default)s)",
    )
    group.add_argument(
        "--intermediate-graphs-dir",
        metavar="DIR",
        type=Path,
        default=Path("intermediate_graphs"),
        help="for the next option (default: %(default)s)",
    )
    group.add_argument(
        "--intermediate-store-frequency",
        metavar="N",
        type=_count(0),
        default=0,
        help="steps between two graphs of the unfinished model; 0: none (default: 0)",
    )
    group.add_argument(
        "--tensorboard",
        metavar="DIR",
        type=Path,
        help="curves, confusion matrix, graph and features for `tensorboard --logdir DIR`",
    )


def extra_outputs(args: argparse.Namespace) -> ExtraOutputs:
    """What the second group asks for.

    Raises:
        UsageError: a name or place that cannot be used.
    """
    from toolkit.extra_outputs import ExtraOutputs

    return ExtraOutputs(
        output_graph=args.output_graph,
        output_labels=args.output_labels,
        saved_model_dir=args.saved_model_dir,
        final_tensor_name=args.final_tensor_name,
        intermediate_graphs_dir=args.intermediate_graphs_dir,
        intermediate_store_frequency=args.intermediate_store_frequency,
        tensorboard=args.tensorboard,
    )


def _count(least: int, everything: bool = False) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` on, and of -1 where that means everything."""

    def read(text: str) -> int:
        wanted = f"must be a whole number, {least} or more{', or -1 for all' if everything else ''}; got {text!r}"
        try:
            number = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(wanted) from None
        if number < least and not (everything and number == -1):
            raise argparse.ArgumentTypeError(wanted)
        return number

    return read


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return rate
