"""The loop over a camera's frames: the newest frame into the model, its answer to whoever wants it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TextIO

from runtime.actions.action import Action, Seen
from runtime.classifier import Classifier, Prepared
from runtime.file_kind import shown
from runtime.looking import look_at_each
from runtime.model_slot import ModelSlot
from runtime.options import ClassifyOptions
from runtime.outputs import actions_for, closing, log_beside
from runtime.reload import ModelReloader, open_reloader
from runtime.service.notify import Notifier
from runtime.smoothing import Smoother
from runtime.sources.frame import Frame
from runtime.sources.kinds import without_password
from runtime.sources.open import capture, every_frame_counts


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
    reloader = open_reloader(_for_each_frame(options), log)
    notifier = Notifier()
    try:
        with closing(actions_for(options, out, log)) as actions, reloader.watching():
            act(options, actions, reloader, log_beside(actions, log), notifier)
    except KeyboardInterrupt:
        return 0  # the usual way to end a camera
    finally:
        notifier.stopping()
    return 0


def _for_each_frame(options: ClassifyOptions) -> ClassifyOptions:
    """Where every frame counts, one thread for each interpreter, if nobody has said how many."""
    camera, model = options.camera, options.model
    if camera is None or not every_frame_counts(camera):
        return options
    return options if model.threads is not None or model.autotune else replace(options, model=replace(model, threads=1))


def act(
    options: ClassifyOptions, actions: Sequence[Action], reloader: ModelReloader, log: TextIO, notifier: Notifier
) -> None:
    """Hand the answer to each frame to all actions, until the source ends; see ``watch``."""
    reloader.log = partial(print, file=log, flush=True)
    for seen in watch(options, reloader.slot, log, notifier):
        for action in actions:
            action.handle(seen)


def watch(options: ClassifyOptions, slot: ModelSlot, log: TextIO, notifier: Notifier | None = None) -> Iterator[Seen]:
    """Each frame that was looked at, with its answer; see ``classify_camera``.

    Args:
        options: what and how; ``camera`` is given.
        slot: the model in use; another may be put there between two frames.
        log: what happens to the camera.
        notifier: is told that the loop turns.
    """
    camera = options.camera
    if camera is None:
        raise ValueError("options without a camera")

    def prepare(frame: Frame) -> tuple[Classifier, Prepared]:
        model = slot.current
        return model, model.prepare_frame(frame)

    smoother = Smoother(options.rules.smooth, options.rules) if options.rules.smooth else None
    before: frozenset[str] | None = None
    notifier = notifier or Notifier()
    frames = capture(camera, prepare, partial(print, file=log, flush=True), notifier.beat)
    notifier.ready(f"watching {shown(without_password(camera.camera))}")
    # Of a camera the newest frame gets all threads of one interpreter; where every frame counts, several are looked at.
    looked = look_at_each(frames, options.rules, 1 if frames.latest else slot.current.workers)
    try:
        for frame, model, answer, scores in looked:
            contract = model.contract
            if smoother is not None:
                answer, scores = smoother.smooth(contract, answer, scores, frames.moment(frame))
            age_ms = (time.monotonic() - frame.arrived) * 1000
            holding = frozenset(answer.labels)  # in whichever order: two labels that swap places are no change
            changed = holding != before
            before = holding
            notifier.beat()
            yield Seen(frame, answer, scores, contract.labels, contract.task, changed, age_ms)
    finally:
        looked.close()
        frames.close()
