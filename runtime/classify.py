"""``runtime classify`` on pictures: a model over files and folders, answers to whoever wants them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TextIO

import numpy as np

from runtime.actions.action import Seen
from runtime.ahead import Ahead
from runtime.answers import Stages
from runtime.classifier import Classifier, Prepared
from runtime.errors import ImageError, one_line
from runtime.file_kind import shown
from runtime.find_model import load_model
from runtime.guard import looking_at
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing
from runtime.sources.files import FoundPicture, found_pictures
from runtime.sources.frame import Frame


def classify_pictures(options: ClassifyOptions, out: TextIO, log: TextIO, ahead: Ahead | None = None) -> int:
    """Classify all pictures that are meant, and hand on answers as they come.

    Args:
        options: what and how.
        out: answers.
        log: which model is used, warnings, what was skipped, and a summary.
        ahead: the one picture that is meant, where a child process is decoding it.

    Returns:
        Exit code: 1 when a picture named by itself, or every picture, could not be used; else 0.
    """
    found = found_pictures(options.paths)
    first = list(islice(found, 1))
    # One picture gets all threads of one interpreter; many get an interpreter of one thread for each processor.
    alone = len(options.paths) == 1 and len(first) == 1 and first[0].named and first[0].source != "-"
    model = options.model
    classifier = load_model(model if alone or model.threads is not None else replace(model, threads=1), log)
    totals = _Totals()
    with closing(actions_for(options, out, log, classifier.contract.labels)) as actions:
        for number, (picture, seen) in enumerate(_look(chain(first, found), alone, classifier, options, ahead)):
            if isinstance(seen, ImageError):
                if picture.named and len(options.paths) == 1 and not number:
                    raise seen
                totals.failed += 1
                totals.named_failed |= picture.named
                print(f"skipped: {one_line(seen)}", file=log)
                continue
            totals.add(seen.answer.milliseconds)
            for action in actions:
                action.handle(seen)
    totals.tell(log)
    return 1 if not totals.answered or totals.named_failed else 0


def _look(
    pictures: Iterator[FoundPicture],
    alone: bool,
    classifier: Classifier,
    options: ClassifyOptions,
    ahead: Ahead | None,
) -> Iterator[tuple[FoundPicture, Seen | ImageError]]:
    """Each picture with its answer, or with what is wrong with it, in order."""

    def work(classifier: Classifier, task: tuple[int, FoundPicture]) -> tuple[FoundPicture, Seen | ImageError]:
        number, picture = task
        try:
            data = ahead.data if alone and ahead is not None else picture.read()
            frame = Frame(picture.source, number, data, time.time(), time.monotonic())
            prepared = _decoded_ahead(ahead, classifier, picture) if alone else None
            answer, scores = classifier.look(prepared or classifier.prepare_frame(frame), options.rules)
        except ImageError as error:
            return picture, error
        age_ms = (time.monotonic() - frame.arrived) * 1000
        contract = classifier.contract
        return picture, Seen(frame, answer, scores, contract.labels, contract.task, changed=True, age_ms=age_ms)

    if alone:
        return iter([work(classifier, (0, next(pictures)))])
    return classifier.each(enumerate(pictures), work)


def _decoded_ahead(ahead: Ahead | None, classifier: Classifier, picture: FoundPicture) -> Prepared | None:
    """The picture as the child process made it ready; None where it did not."""
    preprocessing = classifier.contract.preprocessing
    decoded = ahead.take(preprocessing) if ahead is not None else None
    if decoded is None:
        return None
    looking_at(shown(picture.source))
    started = time.perf_counter()
    pixels = np.frombuffer(decoded.pixels, np.uint8).reshape(preprocessing.height, preprocessing.width, 3)
    tensor = classifier.tensor(pixels if preprocessing.channel_order == "RGB" else pixels[:, :, ::-1])
    return Prepared(tensor, decoded.decode_ms, decoded.resize_ms + (time.perf_counter() - started) * 1000)


class _Totals:
    """What became of the pictures, which may be without end."""

    def __init__(self) -> None:
        self.answered = self.failed = 0
        self.named_failed = False
        self._sums = (0.0, 0.0, 0.0)

    def add(self, stages: Stages) -> None:
        """A picture that was answered."""
        self.answered += 1
        decode, preprocess, invoke = self._sums
        self._sums = (decode + stages.decode, preprocess + stages.preprocess, invoke + stages.invoke)

    def tell(self, log: TextIO) -> None:
        """A line on the times of several pictures, and one on those that were skipped."""
        if self.answered > 1:
            decode, preprocess, invoke = (total / self.answered for total in self._sums)
            print(
                f"{self.answered} pictures; on average decode {decode:.1f} ms, preprocess {preprocess:.1f} ms, "
                f"invoke {invoke:.1f} ms",
                file=log,
            )
        if self.failed:
            print(f"{self.failed} skipped, listed above", file=log)
