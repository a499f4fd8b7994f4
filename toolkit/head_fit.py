"""Trains a head as ``HeadOptions`` says: exactly, with a hidden layer, or by steps as retrain.py did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.blas_threads import one_blas_thread
from toolkit.head import Bools, Floats, Head, HeadOptions, Layer, class_weights, image_weights, soft_targets
from toolkit.head_descent import HiddenOptions, descend, fit_hidden
from toolkit.head_training import PENALTIES, Examples, LinearFit, fit_linear
from toolkit.split import Share

Ints = NDArray[np.int64]

#: What retrain.py trains with: plain gradient descent.
RETRAIN_RATE, RETRAIN_BATCH = 0.01, 100


@dataclass(frozen=True)
class HeadData:
    """Features with what is true of them.

    Attributes:
        features: float32 (rows, features); a picture has a row for each of its views.
        truth: bool (rows, classes).
        groups: int64 (rows,): rows of one group belong together; empty takes each row for itself.
        plain: bool (rows,): rows of pictures as they are; empty takes all for such.
    """

    features: Floats
    truth: Bools
    groups: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    plain: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        if len(self.groups) != len(self.features):
            object.__setattr__(self, "groups", np.arange(len(self.features), dtype=np.int64))
        if len(self.plain) != len(self.features):
            object.__setattr__(self, "plain", np.ones(len(self.features), np.bool_))

    def __len__(self) -> int:
        return len(self.features)

    def where(self, keep: Bools | Ints) -> HeadData:
        """The rows that are kept, by a mask or by their positions."""
        return HeadData(self.features[keep], self.truth[keep], self.groups[keep], self.plain[keep])

    def followed_by(self, more: HeadData) -> HeadData:
        """These rows and others; groups of both that have one number are one."""
        return HeadData(
            np.concatenate([self.features, more.features]),
            np.concatenate([self.truth, more.truth]),
            np.concatenate([self.groups, more.groups]),
            np.concatenate([self.plain, more.plain]),
        )


@dataclass(frozen=True)
class HeadFit:
    """A trained head and what was learned on the way.

    Attributes:
        head: for features as they were given.
        losses: penalty and held-out cross-entropy in nats, of each penalty that was tried.
        held_out: float32 (plain rows of ``shares``, classes): logits of each picture by a head that never saw it; None
            where none was held out.
        shares: whose pictures were held out, one behind the other.
        class_weights: how much a picture of each class counted, float32 (classes,); None where all counted the same.
    """

    head: Head
    losses: tuple[tuple[float, float], ...] = ()
    held_out: Floats | None = None
    shares: tuple[Share, ...] = ("training", "validation")
    class_weights: Floats | None = None


@dataclass(frozen=True)
class Step:
    """How a training by steps stands.

    Attributes:
        number: of batches so far.
        head: as it is now.
    """

    number: int
    head: Head


def fit_head(
    training: HeadData,
    validation: HeadData,
    task: Task,
    options: HeadOptions,
    on_progress: Callable[[], object] = lambda: None,
    on_step: Callable[[Step], object] | None = None,
    learn_validation: bool = True,
    start: Head | None = None,
) -> HeadFit:
    """Train a head.

    Without a hidden layer and without a number of steps, training and validation pictures are dealt into folds:
    each picture is judged by a head that never saw it, the penalty with the least loss is taken, and the head that
    is kept learns from all of them.

    Args:
        training: rows to learn from.
        validation: rows that a hidden layer's training is stopped by, or that fold after fold is judged on.
        task: of the model.
        options: how.
        on_progress: called ``progress_total`` times, also where the training ends early.
        on_step: called after each step, when training by steps.
        learn_validation: whether the validation rows are learned from as well, where folds judge.
        start: linear head that a training by steps begins with; the optimum that is looked for without steps does not
            depend on where one begins.

    Returns:
        The head. One seed gives one head on one machine.
    """
    left = progress_total(options)[0]

    def tell() -> None:
        nonlocal left
        left -= 1
        on_progress()

    rows = training
    if options.steps is not None:
        fitted = HeadFit(_by_steps(training, task, options, tell, on_step or (lambda _step: None), start))
    elif options.hidden:
        fitted = HeadFit(_with_hidden(training, validation, task, options, tell))
    else:
        rows = training.followed_by(validation) if learn_validation and len(validation) else training
        fit = fit_linear(examples_of(rows, task, options), task, seed=options.seed, on_penalty=tell)
        fitted = HeadFit(_linear_head(fit, task), fit.losses, fit.held_out)
    while left > 0:
        tell()
    return replace(fitted, class_weights=class_weights(rows.truth, options.class_weights))


def progress_total(options: HeadOptions) -> tuple[int, str]:
    """How often ``fit_head`` reports progress, and the name of what it counts."""
    if options.steps is not None:
        return options.steps, " steps"
    if options.hidden:
        return HiddenOptions().epochs, " epochs"
    return len(PENALTIES), " penalties"


def fit_one(training: HeadData, task: Task, penalty: float, options: HeadOptions) -> Head:
    """A linear head with this penalty; nothing is held out."""
    fit = fit_linear(examples_of(training, task, options), task, (penalty,), folds=0)
    return _linear_head(fit, task)


def examples_of(data: HeadData, task: Task, options: HeadOptions) -> Examples:
    """Rows with soft targets and weights; a picture counts the same however many views it has."""
    _, of_group, sizes = np.unique(data.groups, return_inverse=True, return_counts=True)
    weights = image_weights(data.truth, task, options.class_weights)
    # Views of one picture, which are rows of one group that are not plain, share its weight.
    plain = np.bincount(of_group, data.plain, len(sizes))
    weights = weights * (np.maximum(plain, 1) / sizes)[of_group].astype(np.float32)
    targets = soft_targets(data.truth, task, options.label_smoothing)
    return Examples(data.features, targets, weights, data.groups, data.plain)


def _linear_head(fit: LinearFit, task: Task) -> Head:
    return Head((Layer(fit.kernel, fit.bias),), task, fit.penalty)


def _with_hidden(
    training: HeadData, validation: HeadData, task: Task, options: HeadOptions, on_progress: Callable[[], object]
) -> Head:
    plain = replace(options, class_weights="none")
    judged = examples_of(validation, task, plain) if len(validation) else None
    with one_blas_thread():  # products of a batch are small
        layers = fit_hidden(
            examples_of(training, task, options),
            judged,
            task,
            HiddenOptions(units=options.hidden, seed=options.seed),
            lambda _epoch, _loss: on_progress(),
        )
    return Head(tuple(Layer(kernel, bias) for kernel, bias in layers), task)


def _by_steps(
    training: HeadData,
    task: Task,
    options: HeadOptions,
    on_progress: Callable[[], object],
    on_step: Callable[[Step], object],
    start: Head | None,
) -> Head:
    def report(number: int, kernel: Floats, bias: Floats) -> None:
        on_progress()
        on_step(Step(number, Head((Layer(kernel, bias),), task)))

    kernel, bias = descend(
        examples_of(training, task, options),
        task,
        options.steps or 0,
        RETRAIN_BATCH if options.batch_size is None else options.batch_size,
        RETRAIN_RATE if options.learning_rate is None else options.learning_rate,
        options.seed,
        report,
        None if start is None else (start.layers[0].kernel, start.layers[0].bias),
    )
    return Head((Layer(kernel, bias),), task)
