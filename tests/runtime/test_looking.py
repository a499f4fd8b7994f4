"""Frames of a film that are looked at by several threads: the answers of one thread, in the frames' order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.answers import AnswerRules
from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.looking import Ready, look_at_each
from runtime.sources.frame import frame_of

RULES = AnswerRules(top_k=2)


def ready(model: Classifier, count: int) -> Iterator[Ready]:
    """Frames of random colours; the same each time."""
    random = np.random.default_rng(7)
    for number in range(count):
        picture = np.full((8, 8, 3), random.integers(0, 256, 3), np.uint8)
        frame = frame_of("film", number, picture, 0.0)
        yield frame, (model, model.prepare_frame(frame))


def answers(model: Classifier, count: int, workers: int) -> list[object]:
    looked = look_at_each(ready(model, count), RULES, workers)
    return [(one.frame.number, one.answer.predictions, one.answer.labels, one.scores.tolist()) for one in looked]


def test_many_threads_answer_as_one_does(colours: Path) -> None:
    model = Classifier.load(colours, threads=1)
    alone = answers(model, 200, 1)
    assert [number for number, *_ in alone] == list(range(200))  # type: ignore[misc]
    assert len({str(one[1:]) for one in alone}) > 100  # type: ignore[index]
    assert answers(model, 200, 4) == alone


def test_a_file_that_is_another_one_by_now_changes_nothing(colours: Path) -> None:
    model = Classifier.load(colours, threads=1)
    alone = answers(model, 50, 1)
    colours.write_bytes(b"another")
    with pytest.raises(ModelError, match="was replaced"):
        model.model.twin(1)
    assert answers(model, 50, 4) == alone


def test_frames_are_taken_only_a_few_ahead(colours: Path) -> None:
    model = Classifier.load(colours, threads=1)
    taken = 0

    def counted() -> Iterator[Ready]:
        nonlocal taken
        for one in ready(model, 1000):
            taken += 1
            yield one

    looked = look_at_each(counted(), RULES, 2)
    next(looked)
    looked.close()
    assert taken <= 6


def test_what_ends_the_source_ends_the_answers(colours: Path) -> None:
    model = Classifier.load(colours, threads=1)

    def broken() -> Iterator[Ready]:
        yield from ready(model, 5)
        raise OSError("torn off")

    numbers = []
    with pytest.raises(OSError, match="torn off"):
        for looked in look_at_each(broken(), RULES, 3):
            numbers.append(looked.frame.number)  # noqa: PERF401 - those before the error count
    assert numbers == list(range(5))
