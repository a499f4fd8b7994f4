"""The training loop: epochs, validation, the best weights, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from runtime.errors import DataError
from runtime.spec import Preprocessing, Task
from toolkit.checkpoint import Checkpoint, CheckpointStore
from toolkit.head import smoothed
from toolkit.progress import progress_bar
from toolkit.training.model import TrainedModel
from toolkit.training.net import Floats
from toolkit.training.options import FinetuneOptions
from toolkit.training.pictures import Batches, PictureStore, Share
from toolkit.training.targets import hit_rate, no_worse, picture_losses

# Pictures a forward pass in validation.
_VALIDATION_BATCH = 32


@dataclass(frozen=True)
class EpochFigures:
    """What an epoch gave; one point of each learning curve.

    Attributes:
        epoch: from 1.
        training_loss: mean cross-entropy of its steps on what was trained on (views, mixed, smoothed), nats.
        validation_loss: cross-entropy on validation at the best temperature, nats; 0 without validation pictures.
        validation_accuracy: 0..1.
        learning_rate: of the head in its last step.
        seconds: it took.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}: training loss {self.training_loss:.3f}, validation loss "
            f"{self.validation_loss:.3f}, validation accuracy {self.validation_accuracy:.1%}, {self.seconds:.0f} s"
        )


@dataclass
class _Position:
    """Where a training is: epochs that are done, steps done of the one begun, and what is known so far.

    ``best`` are the weights to keep, ``least`` the losses of the validation pictures in the epoch with the least.
    """

    epoch: int = 0
    step: int = 0
    losses: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best: dict[str, Floats] = field(default_factory=dict)
    curves: list[EpochFigures] = field(default_factory=list)
    least: Floats = field(default_factory=lambda: np.zeros(0, np.float32))


class Loop:
    """One training from its checkpoint, or its beginning, to its end.

    Args:
        model: is left with the best weights.
        training: what is learned.
        validation: what is judged on; may be empty: then the last weights are the best.
        preprocessing: of the model.
        task: of the targets.
        options: of the training.
        store: of checkpoints.
    """

    def __init__(
        self,
        model: TrainedModel,
        training: Share,
        validation: Share,
        preprocessing: Preprocessing,
        task: Task,
        options: FinetuneOptions,
        store: CheckpointStore,
    ) -> None:
        self._model, self._training, self._validation = model, training, validation
        self._task, self._options, self._store = task, options, store
        pictures = PictureStore()
        self._batches = Batches(training.pictures, preprocessing, pictures, options.seed)
        self._validation_batches = Batches(validation.pictures, preprocessing, pictures)
        self._targets = smoothed(training.targets, options.label_smoothing, task)
        self._steps = -(-len(training) // options.batch_size)
        self._at = _Position()
        self._saved = time.monotonic()
        self._saved_at: tuple[int, int] | None = None

    def run(self, notify: Callable[[str], None]) -> list[EpochFigures]:
        """Train; returns the curves."""
        self._resume(notify)
        self._saved = time.monotonic()
        total = self._options.epochs * len(self._training)
        done = self._at.epoch * len(self._training) + self._at.step * self._options.batch_size
        try:
            with progress_bar("Training", total, done=min(done, total)) as bar:
                while self._at.epoch < self._options.epochs and not self._stops():
                    self._epoch(bar)
                    notify(str(self._at.curves[-1]))
        except KeyboardInterrupt:
            notify(self._where_it_goes_on())
            raise
        if self._at.epoch < self._options.epochs:
            notify(f"no gain on validation in {self._options.patience} epochs: training ends")
        self._model.assign_trained(self._at.best)
        if len(self._validation):
            notify(f"the weights of epoch {self._at.best_epoch} are kept")
        return self._at.curves

    def _where_it_goes_on(self) -> str:
        if self._saved_at is None:
            return "no checkpoint yet: the same command begins the training of the network anew"
        return f"the same command goes on from the last checkpoint: {self._place(*self._saved_at)}"

    def _place(self, epoch: int, step: int) -> str:
        if epoch >= self._options.epochs:
            return f"epoch {epoch}, the last, is done"
        return f"epoch {epoch + 1}, step {step + 1} of {self._steps}"

    def _stops(self) -> bool:
        waited = self._at.epoch - self._at.best_epoch
        return bool(self._options.patience and len(self._validation) and waited >= self._options.patience)

    def _epoch(self, bar: Any) -> None:
        started = time.monotonic() - self._at.seconds
        number = self._at.epoch
        random = np.random.default_rng([self._options.seed, number])
        order = np.array_split(random.permutation(len(self._training)), self._steps)
        mixes = random.beta(self._options.mixup, self._options.mixup, self._steps) if self._options.mixup else None
        augmentation = self._options.augmentation
        for batch in self._batches.run(order[self._at.step :], augmentation, number):
            step = number * self._steps + self._at.step
            loss = self._model.step(
                batch.images,
                self._targets[batch.positions],
                self._training.weights[batch.positions],
                step + 1,
                self._rate(step),
                1.0 if mixes is None else float(mixes[self._at.step]),
            )
            self._at.step += 1
            self._at.losses += self._finite(float(loss))
            bar.update(len(batch.positions))
            if time.monotonic() - self._saved >= self._options.save_seconds and self._at.step < self._steps:
                self._at.seconds = time.monotonic() - started
                self._save()
        self._judge(started)
        self._save()

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise DataError(
                f"training came apart in epoch {self._at.epoch + 1}: the loss is {loss}; lower --learning-rate "
                f"(it is {self._options.learning_rate:g})"
            )
        return loss

    def _rate(self, step: int) -> float:
        """Learning rate of a step, from 0: a rise along a line, a fall along a cosine."""
        total = self._options.epochs * self._steps
        rise = self._options.warm_up * total
        if step < rise:
            return self._options.learning_rate * (step + 1) / (rise + 1)
        return self._options.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(total - rise, 1)))

    def _judge(self, started: float) -> None:
        """End the epoch: validation, the curves, the best weights."""
        at = self._at
        at.epoch += 1
        self._model.swap()
        logits = self._validation_logits()
        losses = picture_losses(logits, self._validation.targets, self._task)
        loss = float(losses.mean()) if len(losses) else 0.0
        rate = self._rate(at.epoch * self._steps - 1)
        if at.epoch == 1 or no_worse(losses, at.least):
            at.best, at.best_epoch = self._model.trained_arrays(), at.epoch
        if at.epoch == 1 or loss < min(figures.validation_loss for figures in at.curves):
            at.least = losses
        self._model.swap()
        accuracy = hit_rate(logits, self._validation.targets, self._task)
        figures = EpochFigures(at.epoch, at.losses / self._steps, loss, accuracy, rate, time.monotonic() - started)
        at.curves.append(figures)
        at.step, at.losses, at.seconds = 0, 0.0, 0.0

    def _validation_logits(self) -> Floats:
        count = len(self._validation)
        if not count:
            return np.zeros((0, self._targets.shape[1]), np.float32)
        order = np.array_split(np.arange(count), -(-count // _VALIDATION_BATCH))
        batches = self._validation_batches.run(order, None)
        return np.concatenate([self._model.logits(batch.images) for batch in batches])

    def _save(self) -> None:
        at = self._at
        arrays = self._model.state() | {f"best/{name}": array for name, array in at.best.items()} | {"least": at.least}
        facts = {
            "epoch": at.epoch,
            "step": at.step,
            "losses": at.losses,
            "seconds": at.seconds,
            "best_epoch": at.best_epoch,
            "curves": [vars(figures) for figures in at.curves],
        }
        self._store.save(Checkpoint(arrays, facts))
        self._saved, self._saved_at = time.monotonic(), (at.epoch, at.step)

    def _resume(self, notify: Callable[[str], None]) -> None:
        checkpoint, said = self._store.load()
        for line in said:
            notify(line)
        if checkpoint is None:
            return
        self._model.restore(checkpoint.arrays)
        facts = dict(checkpoint.facts)
        curves = [EpochFigures(**figures) for figures in facts.pop("curves")]
        best = {n.removeprefix("best/"): a for n, a in checkpoint.arrays.items() if n.startswith("best/")}
        self._at = _Position(**facts, best=best, curves=curves, least=checkpoint.arrays["least"])
        self._saved_at = self._at.epoch, self._at.step
        notify(f"going on from the checkpoint: {self._place(self._at.epoch, self._at.step)}")
