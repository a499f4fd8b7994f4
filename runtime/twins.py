"""Several interpreters of one model, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.processors import processors

if TYPE_CHECKING:
    from runtime.classifier import Classifier


class Twins:
    """Further classifiers of a model, made when they are needed and kept for the next time."""

    def __init__(self) -> None:
        self._idle: list[Classifier] = []
        self._lent = threading.Lock()

    def workers(self, classifier: Classifier) -> int:
        """How many threads keep all processors busy."""
        return max(1, processors() // _threads_each(classifier))

    def make(self, classifier: Classifier) -> None:
        """Make those that keep all processors busy now, while the model's file is there."""
        if not classifier.model.delegated:
            each = _threads_each(classifier)
            for _ in range(self.workers(classifier) - 1 - len(self._idle)):
                self._idle.append(type(classifier)(classifier.contract, classifier.model.twin(each)))

    @contextmanager
    def for_one_thread(self, classifier: Classifier) -> Iterator[Classifier]:
        """A classifier of the same model that no other thread is given meanwhile.

        With a delegate it is the same for all: there is one device, and threads take turns at it.
        """
        each = _threads_each(classifier)
        if classifier.model.delegated:
            yield classifier
        elif classifier.model.threads == each and self._lent.acquire(blocking=False):
            try:
                yield classifier
            finally:
                self._lent.release()
        else:
            twin = self._take_idle() or type(classifier)(classifier.contract, classifier.model.twin(each))
            try:
                yield twin
            finally:
                self._idle.append(twin)

    def _take_idle(self) -> Classifier | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None


def _threads_each(classifier: Classifier) -> int:
    """Threads of each interpreter, where several run at once: what was asked for, else one."""
    return classifier.model.threads if classifier.model.threads_asked else 1
