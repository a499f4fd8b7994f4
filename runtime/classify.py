"""``runtime classify`` on pictures: a model over files and folders, answers to whoever wants them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from runtime.actions.action import Seen
from runtime.answers import Stages
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
    # One picture gets all threads of one interpreter; many get an interpreter of one thread for each processor.
    model = options.model
    many = len(paths) > 1
    classifier = load_model(replace(model, threads=1) if many and model.threads is None else model, log)
    answered: list[Stages] = []
    failed: list[str] = []
    with closing(actions_for(options, out, log, classifier.contract.labels)) as actions:
        for path, seen in _look(paths, classifier, options):
            if isinstance(seen, ImageError):
                if options.paths == (path,):
                    raise seen
                failed.append(path)
                print(f"skipped: {one_line(seen)}", file=log)
                continue
            answered.append(seen.answer.milliseconds)
            for action in actions:
                action.handle(seen)
    _summarize(answered, failed, log)
    named = set(options.paths)
    return 1 if not answered or any(path in named for path in failed) else 0


def _look(
    paths: Sequence[str], classifier: Classifier, options: ClassifyOptions
) -> Iterator[tuple[str, Seen | ImageError]]:
    """Each path with its answer, or with what is wrong with the picture, in order."""

    def work(classifier: Classifier, task: tuple[int, str]) -> tuple[str, Seen | ImageError]:
        number, path = task
        try:
            frame = Frame(path, number, read_image_bytes(Path(path)), time.time(), time.monotonic())
            answer, scores = classifier.look(classifier.prepare_frame(frame), options.rules)
        except ImageError as error:
            return path, error
        age_ms = (time.monotonic() - frame.arrived) * 1000
        contract = classifier.contract
        return path, Seen(frame, answer, scores, contract.labels, contract.task, changed=True, age_ms=age_ms)

    if len(paths) == 1:
        return iter([work(classifier, (0, paths[0]))])
    return classifier.each(enumerate(paths), work)


def _summarize(stages: list[Stages], failed: list[str], log: TextIO) -> None:
    if len(stages) > 1:
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
