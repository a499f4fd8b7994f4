"""``runtime classify`` on pictures: a model over files and folders, answers to whoever wants them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

from runtime.actions.action import Action, Seen
from runtime.answers import Classification
from runtime.classifier import Classifier
from runtime.errors import ImageError, one_line
from runtime.find_model import load_model
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing
from runtime.sources.files import FoundPicture, found_pictures
from runtime.sources.frame import Frame


def classify_pictures(options: ClassifyOptions, out: TextIO, log: TextIO) -> int:
    """Classify all pictures that are meant, and hand on answers as they come.

    Args:
        options: what and how.
        out: answers.
        log: which model is used, warnings, what was skipped, and a summary.

    Returns:
        Exit code: 1 when a picture named by itself, or every picture, could not be used; else 0.
    """
    found = found_pictures(options.paths)
    classifier = load_model(options.model, log)
    answered: list[Classification] = []
    failed: list[FoundPicture] = []
    with closing(actions_for(options, out, log)) as actions:
        for number, picture in enumerate(found):
            try:
                answered.append(_classify(picture, number, classifier, options, actions))
            except ImageError as error:
                if picture.named and len(options.paths) == 1 and not number:
                    raise
                failed.append(picture)
                print(f"skipped: {one_line(error)}", file=log)
    _summarize(answered, failed, log)
    return 1 if not answered or any(picture.named for picture in failed) else 0


def _classify(
    picture: FoundPicture, number: int, classifier: Classifier, options: ClassifyOptions, actions: Sequence[Action]
) -> Classification:
    frame = Frame(picture.source, number, picture.read(), time.time(), time.monotonic())
    answer, scores = classifier.look(classifier.prepare_frame(frame), options.rules)
    age_ms = (time.monotonic() - frame.arrived) * 1000
    contract = classifier.contract
    seen = Seen(frame, answer, scores, contract.labels, contract.task, changed=True, age_ms=age_ms)
    for action in actions:
        action.handle(seen)
    return answer


def _summarize(answered: list[Classification], failed: list[FoundPicture], log: TextIO) -> None:
    if len(answered) > 1:
        stages = [a.milliseconds for a in answered]
        count = len(stages)
        decode, preprocess, invoke = (
            sum(values) / count for values in zip(*((s.decode, s.preprocess, s.invoke) for s in stages), strict=True)
        )
        print(
            f"{count} pictures; on average decode {decode:.1f} ms, preprocess {preprocess:.1f} ms, "
            f"invoke {invoke:.1f} ms",
            file=log,
        )
    if failed:
        print(f"{len(failed)} skipped, listed above", file=log)
