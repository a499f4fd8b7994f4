"""The loop over a camera's frames: the newest frame into the model, its answer to whoever wants it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TextIO

from runtime.actions.action import Seen
from runtime.classifier import Classifier, Prepared
from runtime.find_model import load_model
from runtime.model_slot import ModelSlot
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing
from runtime.sources.frame import Frame
from runtime.sources.open import capture


def classify_camera(options: ClassifyOptions, out: TextIO, log: TextIO) -> int:
    """Classify a camera's frames until the source ends or Ctrl-C.

    Args:
        options: what and how; ``camera`` is given.
        out: answers.
        log: which model is used, warnings, what happens to the camera.

    Returns:
        Exit code 0.

    Raises:
        SourceError: the source cannot be opened, or a file or sequence broke.
        ModelError: the model cannot be loaded, or fails.
        MissingPackageError: a package is needed.
    """
    slot = ModelSlot(load_model(options.model, log))
    try:
        with closing(actions_for(options, out, log)) as actions:
            for seen in watch(options, slot, log):
                for action in actions:
                    action.handle(seen)
    except KeyboardInterrupt:
        return 0  # the usual way to end a camera
    return 0


def watch(options: ClassifyOptions, slot: ModelSlot, log: TextIO) -> Iterator[Seen]:
    """Each frame that was looked at, with its answer; see ``classify_camera``."""
    camera = options.camera
    if camera is None:
        raise ValueError("options without a camera")

    def prepare(frame: Frame) -> tuple[Classifier, Prepared]:
        model = slot.current
        return model, model.prepare_frame(frame)

    def tell(line: str) -> None:
        print(line, file=log, flush=True)

    frames = capture(camera, prepare, tell)
    before: tuple[str, ...] | None = None
    try:
        for frame, (model, prepared) in frames:
            answer, scores = model.look(prepared, options.rules)
            age_ms = (time.monotonic() - frame.arrived) * 1000
            changed = answer.labels != before
            before = answer.labels
            contract = model.contract
            yield Seen(frame, answer, scores, contract.labels, contract.task, changed, age_ms)
    finally:
        frames.close()
