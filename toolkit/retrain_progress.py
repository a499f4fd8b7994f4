"""What a training says while it runs and when it ends, in the words of ``retrain.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.file_kind import shown


@dataclass(frozen=True)
class CurvePoint:
    """The state of a training after a step.

    Attributes:
        step: number of batches so far.
        train_accuracy: on the last training batch, 0..1.
        cross_entropy: mean over that batch, nats.
        validation_accuracy: on ``validation_images`` pictures, 0..1; None without a validation share.
        validation_images: how many they were.
        validation_cross_entropy: mean over them, nats; None where it was not computed.
        wall_time: seconds since 1970.
    """

    step: int
    train_accuracy: float
    cross_entropy: float
    validation_accuracy: float | None
    validation_images: int
    validation_cross_entropy: float | None
    wall_time: float


@dataclass
class RetrainProgress:
    """Writes three lines at each evaluation and keeps the figures for curves.

    Attributes:
        write: is given each line; ``lambda line: None`` keeps silent.
        points: so far.
    """

    write: Callable[[str], object]
    points: list[CurvePoint] = field(default_factory=list)

    def __call__(
        self,
        step: int,
        train_accuracy: float,
        cross_entropy: float,
        validation_accuracy: float | None,
        validation_images: int,
        validation_cross_entropy: float | None = None,
    ) -> None:
        """Say how the training stands; arguments as in ``CurvePoint``."""
        point = CurvePoint(
            step,
            float(train_accuracy),
            float(cross_entropy),
            None if validation_accuracy is None or not validation_images else float(validation_accuracy),
            validation_images,
            None if validation_cross_entropy is None else float(validation_cross_entropy),
            time.time(),
        )
        self.points.append(point)
        self.write(f"Step {step}: Train accuracy = {point.train_accuracy:.1%}")
        self.write(f"Step {step}: Cross entropy = {point.cross_entropy:.6f}")
        if point.validation_accuracy is not None:
            self.write(f"Step {step}: Validation accuracy = {point.validation_accuracy:.1%} (N={validation_images})")


def is_due(step: int, interval: int, last_step: int) -> bool:
    """Whether ``retrain.py`` evaluated after this step: every ``interval`` steps from 0 on, and after the last."""
    return step % interval == 0 or step == last_step


def random_batch(count: int, size: int, seed: int) -> NDArray[np.int64]:
    """Positions of pictures to evaluate on.

    Args:
        count: of pictures in the share.
        size: of the batch; -1, or more than there are, takes all of them in order.
        seed: of the draw; add the step to it for a new batch each time.

    Returns:
        int64 (min(size, count),), none twice.
    """
    if size < 0 or size >= count:
        return np.arange(count, dtype=np.int64)
    return np.random.default_rng(seed).choice(count, size, replace=False).astype(np.int64)


def final_line(right: int, images: int) -> str:
    """The last line of a training: the share of ``images`` test pictures that was answered right."""
    if not images:
        return "Final test accuracy: no test pictures"
    return f"Final test accuracy = {right / images:.1%} (N={images})"


def misclassified_lines(
    paths: Sequence[Path], class_ids: Sequence[int], answers: Sequence[int], labels: Sequence[str]
) -> list[str]:
    """The test pictures with a wrong answer, each with that answer, under ``retrain.py``'s heading.

    Args:
        paths: of the test pictures.
        class_ids: their classes.
        answers: the model's.
        labels: of all classes.
    """
    wrong = [
        f"{shown(path):>70}  {shown(labels[answer])}"
        for path, class_id, answer in zip(paths, class_ids, answers, strict=True)
        if class_id != answer
    ]
    return ["=== MISCLASSIFIED TEST IMAGES ===", *wrong]
