"""``runtime classify`` on pictures: a model over files and folders, answers to whoever wants them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from runtime.actions.action import Action, Seen
from runtime.answers import Classification
from runtime.classifier import Classifier
from runtime.errors import ImageError, one_line
from runtime.find_model import load_model
from runtime.images import read_image_bytes
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing
from runtime.sources.files import picture_paths
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
    paths = list(picture_paths(options.paths))
    classifier = load_model(options.model, log)
    answered: list[Classification] = []
    failed: list[str] = []
    with closing(actions_for(options, out, log, classifier.contract.labels)) as actions:
        for number, path in enumerate(paths):
            try:
                answered.append(_classify(path, number, classifier, options, actions))
            except ImageError as error:
                if options.paths == (path,):
                    raise
                failed.append(path)
                print(f"skipped: {one_line(error)}", file=log)
    _summarize(answered, failed, log)
    named = set(options.paths)
    return 1 if not answered or any(path in named for path in failed) else 0


def _classify(
    path: str, number: int, classifier: Classifier, options: ClassifyOptions, actions: Sequence[Action]
) -> Classification:
    frame = Frame(path, number, read_image_bytes(Path(path)), time.time(), time.monotonic())
    answer, scores = classifier.look(classifier.prepare_frame(frame), options.rules)
    age_ms = (time.monotonic() - frame.arrived) * 1000
    contract = classifier.contract
    seen = Seen(frame, answer, scores, contract.labels, contract.task, changed=True, age_ms=age_ms)
    for action in actions:
        action.handle(seen)
    return answer


def _summarize(answered: list[Classification], failed: list[str], log: TextIO) -> None:
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
