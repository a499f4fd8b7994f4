"""Options of ``toolkit train`` that do nothing beside others: one table, so that none is ignored in silence."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from runtime.errors import UsageError


@dataclass(frozen=True)
class _Rule:
    """Options, when they do nothing (or less than one may think), and what to say behind the option's name."""

    options: tuple[str, ...]
    when: Callable[[argparse.Namespace], bool]
    why: str


def _frozen(args: argparse.Namespace) -> bool:
    return bool(args.mode == "bottleneck")


def _scratch(args: argparse.Namespace) -> bool:
    return bool(args.mode == "scratch")


def _no_steps(args: argparse.Namespace) -> bool:
    return args.steps is None or _scratch(args)


def _no_graph(args: argparse.Namespace) -> bool:
    return args.output_graph is None and args.tensorboard is None and not args.intermediate_store_frequency


_NETWORK = ("epochs", "patience", "layer_decay", "weight_decay", "mixup", "ema", "unfreeze", "train_size")
_RULES = (
    _Rule(_NETWORK, _frozen, "has no effect in --mode bottleneck, which does not train the network"),
    _Rule(
        ("resume",), _frozen, "changes nothing in --mode bottleneck: every run goes on with the features in the cache"
    ),
    _Rule(("unfreeze",), _scratch, "has no effect in --mode scratch, which trains all of the network"),
    _Rule(("steps", "views"), _scratch, "has no effect in --mode scratch, which goes by --epochs and their own views"),
    _Rule(
        ("steps",),
        lambda args: bool(args.mode == "finetune"),
        "counts for the classifier alone that --mode finetune begins with; the network goes by --epochs",
    ),
    _Rule(
        ("learning_rate", "batch_size"),
        lambda args: _frozen(args) and args.steps is None,
        "has no effect without --steps: the classifier is trained to its optimum",
    ),
    _Rule(
        ("intermediate_store_frequency", "validation_batch_size"),
        _no_steps,
        "has no effect without training by --steps",
    ),
    _Rule(
        ("eval_interval",),
        # retrain.py's flags bring one of their own, of which nobody needs to hear.
        lambda args: _no_steps(args) and "--eval" in args.command_line,
        'has no effect without training by --steps, but for the line "Final test accuracy"',
    ),
    _Rule(
        ("test_batch_size",),
        lambda args: args.eval_interval is None,
        'has no effect without --eval-interval, which asks for the line "Final test accuracy"',
    ),
    _Rule(
        ("test_batch_size",),
        lambda args: bool(args.multi_label) and args.eval_interval is not None,
        "has no effect with --multi-label",
    ),
    _Rule(("print_misclassified",), lambda args: bool(args.multi_label), "has no effect with --multi-label"),
    _Rule(
        ("hidden",),
        lambda args: args.steps is not None and not _scratch(args),
        "has no effect with --steps, which train a single layer, as retrain.py did",
    ),
    _Rule(("weights",), lambda args: args.earlier is not None, "has no effect with --from, which brings its own"),
    _Rule(("final_tensor_name",), _no_graph, "has no effect without --output-graph"),
    _Rule(
        ("intermediate_graphs_dir",),
        lambda args: not args.intermediate_store_frequency,
        "has no effect without --intermediate-store-frequency",
    ),
)


def idle_options(args: argparse.Namespace) -> list[str]:
    """One line for each option that was given and does nothing.

    Args:
        args: of ``toolkit train``, with ``default_of``: option -> its default.
    """
    return [
        f"{_spelled(option, args)} {rule.why}"
        for rule in _RULES
        if rule.when(args)
        for option in rule.options
        if getattr(args, option) != args.default_of(option)
    ]


def check_contradictions(args: argparse.Namespace) -> None:
    """Options that do nothing and were surely meant to.

    Raises:
        UsageError: naming them, and what to leave out.
    """
    if args.multi_label and args.reject not in ("auto", "off"):
        raise UsageError(
            f"--reject {args.reject} with --multi-label: there each label has a least score of its own and no picture "
            "is answered unknown; leave --reject out"
        )
    distorted = ("flip_left_right", "random_crop", "random_scale", "random_brightness")
    given = [_spelled(name, args) for name in distorted if getattr(args, name)]
    if given and args.views == 0 and _frozen(args):
        raise UsageError(f"--views 0 draws no views, so {', '.join(given)} would do nothing; leave --views 0 out")


def _spelled(option: str, args: argparse.Namespace) -> str:
    no = "no-" if option == "resume" and args.resume is False else ""
    return f"--{no}{option.replace('_', '-')}"
