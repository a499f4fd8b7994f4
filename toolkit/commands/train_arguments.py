"""The options of ``toolkit train``, group by group."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.backbones.catalog import DEFAULT_ARCHITECTURE
from toolkit.backbones.pooling import POOLINGS

if TYPE_CHECKING:
    from toolkit.options import TrainOptions
    from toolkit.training.options import FinetuneOptions
    from toolkit.views import Augmentation


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add everything but what scripts of retrain.py and TensorFlow use."""
    parser.add_argument("image_dir", nargs="?", metavar="IMAGE_DIR", type=Path, help="a folder per class")
    _add_network(parser)
    _add_places(parser)
    _add_data(parser.add_argument_group("pictures"))
    _add_views(parser.add_argument_group("views: random variants of the training pictures"))
    _add_head(parser.add_argument_group("the classifier and its answers"))
    _add_tuning(parser.add_argument_group("--mode finetune and scratch"))


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mode",
        choices=["bottleneck", "finetune", "scratch"],
        default="bottleneck",
        help="bottleneck trains a classifier on a frozen network, in seconds; finetune goes on with the network "
        "itself, in minutes, for the best accuracy; scratch trains it from random weights, for many thousand pictures "
        "(default: bottleneck)",
    )
    parser.add_argument(
        "--architecture",
        metavar="NAME",
        help=f"network to start from (default: {DEFAULT_ARCHITECTURE}; `toolkit architectures` lists them)",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="the settings that did best: efficientnet_lite0 at 288 pixels with --pooling avg-max, or what you say "
        "instead of any of these; twice the time of the default on the device; with --mode finetune better still",
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        metavar="BUNDLE",
        type=Path,
        help="go on from an earlier model: IMAGE_DIR may hold new classes, more pictures of its classes, or both; what "
        "it does not hold is learned again from features that the bundle keeps",
    )
    parser.add_argument(
        "--input-size",
        metavar="PIXELS",
        type=int,
        help="height and width of the network's input: a larger one sees more and takes longer, 288 instead of 224 two "
        "thirds longer (default: the architecture's)",
    )
    parser.add_argument(
        "--pooling",
        choices=POOLINGS,
        help="what the classifier sees of the last feature map: avg, the mean of each channel, or avg-max, its largest "
        "value as well, which costs the device next to nothing (default: avg)",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output-dir", metavar="DIR", type=Path, default=Path("model"), help="for the bundle (default: model)"
    )
    parser.add_argument("--name", help="of the model and its files (default: the picture folder's name)")
    parser.add_argument("--model-dir", metavar="DIR", type=Path, help="folder with weight files you have already")
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        type=Path,
        help="for features, downloads and checkpoints (default: the user's cache)",
    )
    parser.add_argument(
        "--weights",
        choices=["imagenet", "none"],
        default="imagenet",
        help="none starts from random weights: to try the mechanics, not to get a good model",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of all that is random (default: 0)")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--multi-label",
        action="store_true",
        help="a picture may have several labels: a labels.csv in IMAGE_DIR (file,label;label), or the same picture in "
        "several class folders",
    )
    for share, flag in (("validation", "--validation-percentage"), ("test", "--testing-percentage")):
        group.add_argument(flag, metavar="P", type=float, default=10.0, help=f"share of {share} pictures (default: 10)")
    group.add_argument(
        "--no-near-duplicates",
        action="store_false",
        dest="near_duplicates",
        help="do not look for pictures that are almost the same; by default they are kept in one share",
    )
    group.add_argument(
        "--calibration-images",
        metavar="N",
        type=int,
        default=200,
        help="training pictures kept in the bundle for quantisation (default: 200)",
    )


def _add_views(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--views",
        metavar="K",
        type=int,
        help="views of each training picture that are learned from and cached beside the picture itself (default: 0; "
        "5 with one of the options below); finetune and scratch draw new ones in every epoch",
    )
    group.add_argument("--flip-left-right", action="store_true", help="mirror half of the views")
    for name, what in (
        ("crop", "margin of a window anywhere in the picture"),
        ("scale", "the window is smaller by up to this much"),
        ("brightness", "brightness changes by up to this much"),
    ):
        group.add_argument(f"--random-{name}", metavar="PERCENT", type=int, default=0, help=f"{what} (default: 0)")


def _add_head(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--hidden", metavar="N", type=int, default=0, help="neurons of a hidden layer (default: none)")
    group.add_argument(
        "--class-weights",
        choices=["auto", "none"],
        default="auto",
        help="auto: every class counts the same where one has twice as many pictures as another, or more; "
        "none: every picture counts the same",
    )
    group.add_argument(
        "--label-smoothing",
        metavar="S",
        type=float,
        help="share of each target spread over all classes, against overconfidence (default: 0; 0.1 while the network "
        "itself is trained)",
    )
    group.add_argument(
        "--reject",
        metavar="auto|off|RATE",
        default="auto",
        help='when the answer is "unknown": RATE of the known pictures (0.05, 5%%) may be rejected; auto chooses with '
        "the help of a folder _background_ of pictures that belong to no class, else rejects 1 in 100",
    )


def _add_tuning(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--unfreeze",
        metavar="all|N|BLOCK",
        default="auto",
        help="what is trained of the network: all of it, its last N blocks, or from a block up (default: all but the "
        "lowest blocks)",
    )
    group.add_argument(
        "--train-size",
        metavar="PIXELS",
        type=int,
        help="height and width of the views that the network is trained on: smaller ones are quicker, and what is seen "
        "in them is no smaller than in whole pictures (default: the input's; with --best --mode finetune the "
        "architecture's)",
    )
    group.add_argument("--epochs", metavar="N", type=int, help="passes over the pictures (default: 10; scratch 100)")
    group.add_argument(
        "--patience",
        metavar="N",
        type=int,
        help="stop when N epochs brought nothing better on validation; 0 never stops; the best weights are kept either "
        "way (default: 5; scratch 20)",
    )
    group.add_argument("--layer-decay", metavar="F", type=float, help="learning rate of a block over that of the next")
    group.add_argument("--weight-decay", metavar="F", type=float, help="of AdamW")
    group.add_argument("--mixup", metavar="A", type=float, help="mix pairs of pictures: parameter of Beta(A, A)")
    group.add_argument("--ema", metavar="F", type=float, help="share of the averaged weights that a step leaves")
    group.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        help="go on at the last checkpoint of the same training (default); --no-resume begins anew",
    )


def train_options(args: argparse.Namespace) -> TrainOptions:
    """All of it as one value.

    Raises:
        UsageError: a value out of range.
    """
    from toolkit.commands.train_retrain_options import extra_outputs
    from toolkit.head import HeadOptions
    from toolkit.options import Reports, TrainOptions, best_settings
    from toolkit.reject import parse_reject
    from toolkit.split import SplitOptions

    options = TrainOptions(
        output_dir=args.output_dir,
        mode=args.mode,
        task="multi-label" if args.multi_label else "single-label",
        architecture=args.architecture,
        input_size=args.input_size,
        pooling=args.pooling,
        earlier=args.earlier,
        name=args.name,
        weights=args.weights,
        model_dir=args.model_dir,
        cache_dir=args.cache_dir,
        split=SplitOptions(args.validation_percentage, args.testing_percentage),
        head=HeadOptions(
            hidden=args.hidden,
            class_weights=args.class_weights,
            label_smoothing=args.label_smoothing or 0.0,
            steps=args.steps,
            learning_rate=args.learning_rate,
            batch_size=args.batch_size,
            seed=args.seed,
        ),
        views=args.views,
        augmentation=_augmentation(args),
        reject=parse_reject(args.reject),
        calibration_images=args.calibration_images,
        seed=args.seed,
        tuning=_tuning(args),
        resume=args.resume is not False,
        near_duplicates=args.near_duplicates,
        reports=Reports(args.eval_interval, args.validation_batch_size),
        outputs=extra_outputs(args),
        command=args.command_line,
    )
    return best_settings(options) if args.best else options


def _augmentation(args: argparse.Namespace) -> Augmentation | None:
    from toolkit.views import Augmentation

    asked = Augmentation(
        flip_left_right=args.flip_left_right,
        random_crop=args.random_crop,
        random_scale=args.random_scale,
        random_brightness=args.random_brightness,
    )
    return None if asked.changes_nothing else asked


def _tuning(args: argparse.Namespace) -> FinetuneOptions:
    from dataclasses import replace

    from toolkit.training.options import SCRATCH, FinetuneOptions

    names = ["epochs", "patience", "layer_decay", "weight_decay", "mixup", "ema", "label_smoothing"]
    names += ["learning_rate", "batch_size", "train_size"]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    augmentation = _augmentation(args)
    if augmentation is not None:
        given["augmentation"] = augmentation
    if args.mode == "scratch":
        return replace(SCRATCH, seed=args.seed, **given)
    return replace(FinetuneOptions(), unfreeze=args.unfreeze, seed=args.seed, **given)
