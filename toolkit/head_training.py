"""Trains a linear head on features that do not change: exactly, in seconds, with its penalty chosen by folds.

All folds and the head that is kept are columns of one problem, so each pass over the features serves them all.
Penalties are tried from the strongest to the weakest, each starting where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.spec import Task
from toolkit.blas_threads import one_blas_thread
from toolkit.lbfgs import minimise

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: L2 penalties that are tried, on features of mean 0 and mean square 1; half a decade apart.
PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
#: So many penalties in a row that are worse than the best end the search: the loss along the path has one valley.
_PATIENCE = 2
#: Bytes of features up to which a product with them takes a millisecond or two: 2,000 pictures of 1,024 features.
SMALL = 8 << 20
# So few classes go class by class in memory: numpy sums up a few long rows three times as fast as many short ones (5
# classes; with 100 turning them round costs more).
_FEW_CLASSES = 32
#: Five or ten: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd edition, section 7.10.
FOLDS = 5


@dataclass(frozen=True)
class Examples:
    """What a head learns from; a row for each view of each picture.

    Attributes:
        features: float32 (rows, features).
        targets: float32 (rows, classes), 0..1. ``single-label``: each row adds up to 1, soft or not (smoothed,
            mixed, or uniform for a picture of none of the classes). ``multi-label``: each value for itself.
        weights: float32 (rows,), 0 or more: how much each row counts.
        groups: int64 (rows,): rows of one group (the views of one picture, near duplicates) are held out together.
        judged: bool (rows,): the rows that choose the penalty when held out; as a rule the pictures as the device
            sees them, not their augmented views.
    """

    features: Floats
    targets: Floats
    weights: Floats
    groups: Ints
    judged: Bools

    def __post_init__(self) -> None:
        rows = len(self.features)
        for name in ("targets", "weights", "groups", "judged"):
            if len(getattr(self, name)) != rows:
                raise ValueError(f"{name} must have {rows} rows as the features have; got {len(getattr(self, name))}")
        if not float(self.weights.sum()) > 0:
            raise ValueError("weights must not all be 0")


@dataclass(frozen=True)
class LinearFit:
    """A trained linear head and what was learned about it on the way.

    Attributes:
        kernel: float32 (features, classes), for features as they were given.
        bias: float32 (classes,).
        penalty: the chosen one.
        losses: (penalty, held-out loss in nats, mean over the judged rows) of each penalty tried, from the
            strongest on; empty without folds.
        held_out: float32 (judged rows, classes): logits of each judged row by the head of ``penalty`` that has not
            seen its group, for temperature and thresholds; None without folds.
    """

    kernel: Floats
    bias: Floats
    penalty: float
    losses: tuple[tuple[float, float], ...]
    held_out: Floats | None


def fit_linear(
    examples: Examples,
    task: Task = "single-label",
    penalties: tuple[float, ...] = PENALTIES,
    folds: int = FOLDS,
    seed: int = 0,
    on_penalty: Callable[[], object] = lambda: None,
) -> LinearFit:
    """Minimise weighted cross-entropy + penalty / 2 * |kernel|^2 on all rows, with the penalty that folds choose.

    Args:
        examples: of training and, where the penalty is chosen by folds, validation pictures together.
        task: softmax or one sigmoid a class.
        penalties: to choose from, for features scaled to mean 0 and mean square 1.
        folds: 0 or 1 holds nothing out and takes the middle penalty.
        seed: of the folds. One seed gives one head on one machine.
        on_penalty: called after each penalty; ``len(penalties)`` times where folds choose, else once.
    """
    order = sorted(penalties, reverse=True)
    center = examples.features.mean(axis=0, dtype=np.float64).astype(np.float32)
    features = examples.features - center
    scale = np.float32(1.0 / max(float(np.sqrt(np.mean(np.square(features)))), 1e-12))
    features *= scale
    fold_of = _folds(examples, folds, seed)
    count = int(fold_of.max()) + 1 if examples.judged.any() else 0
    if count < 2:  # one group cannot be held out and learned from
        count, order = 0, [order[len(order) // 2]]
    problem = _Problem(features, examples, task, fold_of, count)
    with one_blas_thread() if features.nbytes <= SMALL else nullcontext():
        return _along_the_path(problem, order, center, scale, on_penalty)


def _along_the_path(
    problem: _Problem, order: list[float], center: Floats, scale: np.float32, on_penalty: Callable[[], object]
) -> LinearFit:
    """Fit penalty after penalty, the strongest first."""
    parameters = np.zeros(problem.shape, np.float32)
    fits: list[Floats] = []
    losses: list[float] = []
    held_out: list[Floats] = []
    for penalty in order:
        if losses and len(losses) - 1 - int(np.argmin(losses)) >= _PATIENCE:
            on_penalty()
            continue
        parameters = minimise(problem.function(penalty), parameters.ravel()).reshape(problem.shape)
        fits.append(parameters[:, -1].copy())
        if problem.count:
            held_out.append(problem.held_out(parameters))
            losses.append(problem.judge(held_out[-1]))
        on_penalty()
    best = int(np.argmin(losses)) if losses else 0
    kernel = fits[best][:-1] * scale
    return LinearFit(
        kernel=kernel,
        bias=fits[best][-1] - center @ kernel,
        penalty=order[best],
        losses=tuple(zip(order, losses, strict=False)),
        held_out=held_out[best] if held_out else None,
    )


def _folds(examples: Examples, folds: int, seed: int) -> Ints:
    """The fold of each row, int64 (rows,): groups whole, classes spread evenly."""
    _, first, group_of = np.unique(examples.groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(first))
    # Dealt like cards, class after class. A stable sort keeps the shuffled order within a class.
    by_class = shuffled[np.argsort(examples.targets[first[shuffled]].argmax(axis=1), kind="stable")]
    fold_of_group = np.empty(len(first), np.int64)
    fold_of_group[by_class] = np.arange(len(first)) % max(1, folds)
    result: Ints = fold_of_group[group_of]
    return result


class _Problem:
    """The loss of ``count`` heads that each miss a fold and of one, the last, that sees all."""

    def __init__(self, features: Floats, examples: Examples, task: Task, fold_of: Ints, count: int) -> None:
        self.features, self.task, self.fold_of, self.count = features, task, fold_of, count
        self.transposed = np.ascontiguousarray(features.T)
        self.targets, self.judged, self.weights = examples.targets, examples.judged, examples.weights
        #: features and a bias, heads, classes.
        self.shape = (features.shape[1] + 1, count + 1, examples.targets.shape[1])
        seen = fold_of[:, None] != np.arange(count + 1)
        seen[:, -1] = True
        shares = examples.weights[:, None] * seen
        self.shares: Floats = (shares / np.maximum(shares.sum(axis=0), 1e-12)).astype(np.float32)[:, :, None]

    def logits(self, parameters: Floats) -> Floats:
        """float32 (rows, heads, classes)."""
        flat = parameters.reshape(self.shape[0], -1)
        result: Floats = (self.features @ flat[:-1] + flat[-1]).reshape(-1, *self.shape[1:])
        return result

    def function(self, penalty: float) -> Callable[[Floats], tuple[float, Floats]]:
        """Sum of the heads' losses and its gradient, as ``minimise`` wants it."""
        targets = self.targets[:, None, :]

        def evaluate(flat: Floats) -> tuple[float, Floats]:
            parameters = flat.reshape(self.shape)
            kernel = parameters[:-1]
            losses, scores = losses_and_scores(self.logits(parameters), targets, self.task)
            value = float(np.sum(losses * self.shares[:, :, 0], dtype=np.float64))
            value += penalty / 2 * float(np.sum(np.square(kernel), dtype=np.float64))
            error = (scores - targets) * self.shares
            gradient = np.empty_like(parameters)
            gradient[:-1] = (self.transposed @ error.reshape(len(error), -1)).reshape(kernel.shape)
            gradient[:-1] += np.float32(penalty) * kernel
            gradient[-1] = error.sum(axis=0)
            return value, gradient.ravel()

        return evaluate

    def held_out(self, parameters: Floats) -> Floats:
        """Logits of the judged rows by the head that has not seen them, float32 (judged rows, classes)."""
        rows = np.flatnonzero(self.judged)
        result: Floats = self.logits(parameters)[rows, self.fold_of[rows]]
        return result

    def judge(self, logits: Floats) -> float:
        """Mean loss of the judged rows, each with its weight."""
        losses, _ = losses_and_scores(logits, self.targets[self.judged], self.task)
        weights = self.weights[self.judged]
        return float(np.average(losses, weights=weights if weights.sum() > 0 else None))


def losses_and_scores(logits: Floats, targets: Floats, task: Task) -> tuple[Floats, Floats]:
    """Cross-entropy of each row in nats, and the scores.

    Args:
        logits: float32 (..., classes).
        targets: float32, broadcast to the logits; see ``Examples``.
        task: ``multi-label`` adds the classes' binary cross-entropies up.

    Returns:
        Losses, float32 (...); scores, float32 (..., classes).
    """
    if task == "multi-label":
        small = np.exp(-np.abs(logits))
        scores = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
        return (np.maximum(logits, 0) - logits * targets + np.log1p(small)).sum(axis=-1), scores
    axis = 0 if logits.shape[-1] <= _FEW_CLASSES else -1
    values, wanted = np.ascontiguousarray(np.moveaxis(logits, -1, axis)), np.moveaxis(targets, -1, axis)
    shifted = values - values.max(axis=axis, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=axis, keepdims=True)
    losses = -((shifted - np.log(total)) * wanted).sum(axis=axis)
    return losses, np.moveaxis(exponentials / total, axis, -1)
