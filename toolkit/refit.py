"""The head of a trained network: the one it was trained with, or one trained anew on its features."""

from __future__ import annotations

from collections.abc import Callable

from runtime.spec import Task
from toolkit.head import Head, HeadOptions, soft_targets
from toolkit.head_fit import HeadData, fit_one
from toolkit.training.targets import temperature_loss

#: L2 penalties of heads that are tried, as in ``toolkit.head_training``.
PENALTIES = (0.3, 0.1, 0.03)


def best_head(
    tuned: Head,
    training: HeadData,
    validation: HeadData,
    task: Task,
    options: HeadOptions,
    notify: Callable[[str], None],
) -> Head:
    """Whichever head has the least validation cross-entropy at its best temperature.

    A network is trained on changing views with noise added; a head trained to its optimum on the final features often
    does better, and the validation share says whether.

    Args:
        tuned: the head that was trained with the network.
        training: features by the final network.
        validation: the same; without rows the tuned head stays.
        task: of the model.
        options: of heads.
        notify: is told which one was taken.
    """
    if not len(validation) or options.hidden:
        return tuned
    targets = soft_targets(validation.truth, task)

    def loss(head: Head) -> float:
        return temperature_loss(head.logits(validation.features), targets, task)

    heads = [tuned, *(fit_one(training, task, penalty, options) for penalty in PENALTIES)]
    losses = [loss(head) for head in heads]
    best = losses.index(min(losses))
    what = f"trained anew on its features, penalty {PENALTIES[best - 1]:g}" if best else "as it was trained with it"
    notify(
        f"head of the trained network: {what} (validation cross-entropy {losses[best]:.3f}; as it was {losses[0]:.3f})"
    )
    return heads[best]
