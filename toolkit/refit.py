"""What is taken of a trained network: how far its weights go, and which head stands on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from runtime.spec import Task
from toolkit.backbones.registry import Backbone
from toolkit.head import Head, HeadOptions, Layer, soft_targets
from toolkit.head_fit import HeadData, HeadFit, examples_of
from toolkit.head_training import fit_linear
from toolkit.training.targets import temperature_loss

#: Shares of the way from the first weights to the trained ones that are tried. The second loses less of what ImageNet
#: taught: M. Wortsman et al., "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903, find half to
#: three quarters best.
WAYS = (1.0, 0.7)
#: L2 penalties of heads that are tried, as in ``toolkit.head_training``.
PENALTIES = (1.0, 0.3, 0.1, 0.03)


@dataclass(frozen=True)
class Candidate:
    """A network with a head, and how well they answer pictures that neither has seen.

    Attributes:
        backbone: with its weights.
        fit: the head, with its answers to each validation picture where it has learned from others of them.
        loss: cross-entropy of the validation pictures at the best temperature, nats; 0 without any.
        what: for people.
    """

    backbone: Backbone
    fit: HeadFit
    loss: float
    what: str


def as_trained(backbone: Backbone, head: Head, validation: HeadData, task: Task) -> Candidate:
    """The head that was trained with the network."""
    targets = soft_targets(validation.truth, task)
    loss = temperature_loss(head.logits(validation.features), targets, task) if len(validation) else 0.0
    return Candidate(backbone, HeadFit(head), loss, "the head that was trained with it")


def refitted(
    backbone: Backbone, training: HeadData, validation: HeadData, task: Task, options: HeadOptions, way: float
) -> Candidate:
    """A head trained anew, to its optimum, on the features of the finished network.

    A network is trained on changing views with noise added; such a head often does better. It learns from the
    validation pictures as well, fold by fold, so that each is answered by a head that never saw it: those answers
    choose the penalty. Training pictures could not, for the network knows them.

    Args:
        backbone: the finished network.
        training: its features, a row a picture.
        validation: the same; not empty.
        task: of the model.
        options: of the head.
        way: how far the network is from the first weights to the trained ones, for people.
    """
    rows = training.followed_by(validation)
    judged = np.arange(len(rows)) >= len(training)
    fit = fit_linear(replace(examples_of(rows, task, options), judged=judged), task, PENALTIES, seed=options.seed)
    head = Head((Layer(fit.kernel, fit.bias),), task, fit.penalty)
    held_out = fit.held_out if fit.held_out is not None else head.logits(validation.features)
    loss = temperature_loss(held_out, soft_targets(validation.truth, task), task)
    taken = "its weights" if way == 1 else f"{way:.0%} of the way to its weights"
    what = f"{taken}, a head trained anew with penalty {fit.penalty:g}"
    return Candidate(backbone, HeadFit(head, fit.losses, held_out, ("validation",)), loss, what)


def best(candidates: Sequence[Candidate], notify: Callable[[str], None]) -> Candidate:
    """The one with the least loss; the first of those that are equal.

    Args:
        candidates: at least one.
        notify: is told in one line which it is.
    """
    chosen = min(candidates, key=lambda candidate: candidate.loss)
    if len(candidates) > 1:
        others = ", ".join(f"{c.loss:.3f} {c.what}" for c in candidates if c is not chosen)
        notify(f"of the trained network: {chosen.what} (validation cross-entropy {chosen.loss:.3f}; {others})")
    return chosen
