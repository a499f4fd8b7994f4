"""A model's look at prepared frames, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.answers import AnswerRules, Classification
from runtime.classifier import Classifier, Prepared
from runtime.errors import ModelError
from runtime.many import in_order
from runtime.sources.frame import Frame

# A frame, the model it was prepared for, and what it was made.
Ready = tuple[Frame, tuple[Classifier, Prepared]]
# Frames taken ahead of the answer that is wanted next, for each thread: one beside the next.
_AHEAD = 2


class Looked(NamedTuple):
    """A frame with its answer.

    Attributes:
        frame: as it came.
        model: that answered.
        answer: the answer.
        scores: float32 (classes,), 0..1.
    """

    frame: Frame
    model: Classifier
    answer: Classification
    scores: NDArray[np.float32]


def look_at_each(frames: Iterable[Ready], rules: AnswerRules, workers: int) -> Generator[Looked, None, None]:
    """Frames with their answers, in order.

    Args:
        frames: prepared ones.
        rules: which answers are wanted.
        workers: threads; 1 looks at each frame when it is asked for, on the thread that asks.
    """
    if workers < 2:
        return (Looked(frame, model, *model.look(prepared, rules)) for frame, (model, prepared) in frames)

    def look(ready: Ready) -> Looked:
        frame, (model, prepared) = ready
        with _twin(model) as classifier:
            return Looked(frame, model, *classifier.look(prepared, rules))

    return in_order(frames, lambda: nullcontext(look), workers, _AHEAD)


@contextmanager
def _twin(model: Classifier) -> Iterator[Classifier]:
    """A classifier for this thread alone; once its file is another one, threads take turns at the one loaded."""
    with ExitStack() as stack:
        try:
            classifier = stack.enter_context(model.for_one_thread())
        except ModelError:
            classifier = model
        yield classifier
