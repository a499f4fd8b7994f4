"""A finished training for TensorBoard."""

from __future__ import annotations

import numpy as np

from toolkit.fit import Fitted
from toolkit.judge import Judged
from toolkit.prepare import Prepared
from toolkit.projector import Embeddings
from toolkit.retrain_progress import RetrainProgress
from toolkit.tensorboard import Board

#: Pictures the projector shows at most: its own limit for exact layouts is of this order.
MOST_POINTS = 5000


def training_board(prepared: Prepared, fitted: Fitted, judged: Judged, progress: RetrainProgress) -> Board:
    """Curves, the test share's confusion matrix, and the features of the pictures.

    Args:
        prepared: the pictures.
        fitted: their features.
        judged: the answers.
        progress: curves of a training by steps.
    """
    labels = prepared.index.labels
    evaluation = judged.evaluations["test"]
    single = evaluation.task == "single-label"
    known = evaluation.truth.any(axis=1)
    names = [
        [label for label, holds in zip(labels, row, strict=True) if holds]
        for e in judged.evaluations.values()
        for row in e.truth
    ]
    answered = [
        [label for label, holds in zip(labels, row, strict=True) if holds]
        for e in judged.evaluations.values()
        for row in e.decisions
    ]
    features = np.concatenate([data.features for data in fitted.data.values()])[:MOST_POINTS]
    paths = [path for e in judged.evaluations.values() for path in e.sources][:MOST_POINTS]
    embeddings = Embeddings(
        features=features,
        paths=paths,
        labels=[", ".join(found) or "none" for found in names[:MOST_POINTS]],
        answers=[", ".join(found) or "unknown" for found in answered[:MOST_POINTS]],
    )
    return Board(
        curves=progress.points,
        labels=labels,
        class_ids=[int(i) for i in evaluation.truth[known].argmax(axis=1)] if single else [],
        answers=[int(i) for i in evaluation.answers[known]] if single else [],
        embeddings=embeddings,
    )
