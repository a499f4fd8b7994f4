"""The lines that retrain.py's users and their scripts know."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.retrain_progress import RetrainProgress, final_line, is_due, misclassified_lines, random_batch


def test_progress_lines() -> None:
    lines: list[str] = []
    progress = RetrainProgress(lines.append)
    progress(10, np.float32(0.93), np.float32(0.5125), 0.88, 100)
    progress(20, 1.0, 0.25, None, 0)
    assert lines == [
        "Step 10: Train accuracy = 93.0%",
        "Step 10: Cross entropy = 0.512500",
        "Step 10: Validation accuracy = 88.0% (N=100)",
        "Step 20: Train accuracy = 100.0%",
        "Step 20: Cross entropy = 0.250000",
    ]
    assert [(p.step, p.validation_accuracy, p.validation_cross_entropy) for p in progress.points] == [
        (10, 0.88, None),
        (20, None, None),
    ]


def test_steps_that_are_evaluated() -> None:
    assert [step for step in range(25) if is_due(step, 10, 24)] == [0, 10, 20, 24]


def test_final_line() -> None:
    assert final_line(246, 247) == "Final test accuracy = 99.6% (N=247)"
    assert final_line(0, 0) == "Final test accuracy: no test pictures"


def test_misclassified() -> None:
    paths = [Path("photos/rose/1.jpg"), Path("photos/rose/two\nlines.jpg"), Path("photos/tulip/" + "x" * 80)]
    labels = ["rose", "tu\nlip"]
    heading, first, second = misclassified_lines(paths, [0, 0, 1], [0, 1, 0], labels)
    assert heading == "=== MISCLASSIFIED TEST IMAGES ==="
    assert first == f"{str(paths[1])!r:>70}  {labels[1]!r}"
    assert second == f"photos/tulip/{'x' * 80}  rose"


def test_batches() -> None:
    assert random_batch(5, -1, 0).tolist() == random_batch(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    drawn = random_batch(50, 20, 3)
    assert len(set(drawn.tolist())) == 20
    assert drawn.tolist() == random_batch(50, 20, 3).tolist()
    assert drawn.tolist() != random_batch(50, 20, 4).tolist()
    assert random_batch(0, 10, 0).tolist() == []
