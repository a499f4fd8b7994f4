"""What was taken for what: the matrix, the most frequent mistakes, and a table of two by two for each label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.evaluation import Evaluation

#: More classes than this make a matrix nobody reads: those with the most mistakes are shown.
MAX_CLASSES = 60
# Pairs of classes that are listed.
_MAX_PAIRS = 10


@dataclass(frozen=True)
class Cell:
    """Pictures of a row's class that were taken for a column's; ``share`` of the row's pictures, 0..1."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class ConfusionView:
    """The part of a confusion matrix that is shown.

    Attributes:
        labels: of rows and columns.
        rows: cells, a row for each true class.
        left_out: number of classes that are not shown.
    """

    labels: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int


@dataclass(frozen=True)
class Confused:
    """``count`` pictures of ``truth``, which has ``support`` of them, were taken for ``answer``."""

    truth: str
    answer: str
    count: int
    support: int


def confusion_view(evaluation: Evaluation) -> ConfusionView:
    """The matrix; of many classes those that take part in the most mistakes, in the order of their ids."""
    matrix = evaluation.confusion
    shown = np.arange(len(matrix))
    if len(matrix) > MAX_CLASSES:
        wrong = matrix - np.diag(np.diag(matrix))
        mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
        shown = np.sort(np.argsort(-mistakes, kind="stable")[:MAX_CLASSES])
    totals = np.maximum(matrix.sum(axis=1), 1)
    rows = tuple(
        tuple(Cell(int(matrix[r, c]), float(matrix[r, c] / totals[r]), bool(r == c)) for c in shown) for r in shown
    )
    return ConfusionView(tuple(evaluation.labels[c] for c in shown), rows, len(matrix) - len(shown))


def most_confused(evaluation: Evaluation) -> tuple[Confused, ...]:
    """The pairs of classes with the most mistakes, most first."""
    wrong = evaluation.confusion.copy()
    totals = wrong.sum(axis=1)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MAX_PAIRS]
    pairs = [(int(i) // len(wrong), int(i) % len(wrong)) for i in order]
    return tuple(
        Confused(evaluation.labels[r], evaluation.labels[c], int(wrong[r, c]), int(totals[r]))
        for r, c in pairs
        if wrong[r, c]
    )


def label_tables(evaluation: Evaluation) -> tuple[tuple[str, tuple[tuple[Cell, Cell], tuple[Cell, Cell]]], ...]:
    """Of each label its matrix of two by two: rows has it and has it not, columns answered and not answered."""
    tables = []
    for figures in evaluation.per_class:
        counts = (
            (figures.true_positives, figures.false_negatives),
            (figures.false_positives, figures.true_negatives),
        )
        cells = [[Cell(n, n / max(1, sum(row)), i == j) for j, n in enumerate(row)] for i, row in enumerate(counts)]
        tables.append((figures.label, ((cells[0][0], cells[0][1]), (cells[1][0], cells[1][1]))))
    return tuple(tables)
