"""Hot reload: a replaced model file, or SIGHUP, puts another model in the old one's place between two frames."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TextIO

from runtime.classifier import Classifier
from runtime.errors import EdgeExportError, first_line, one_line
from runtime.file_kind import shown
from runtime.files import file_stamp
from runtime.find_model import load_request
from runtime.load_request import LoadRequest
from runtime.model_slot import ModelSlot
from runtime.options import ClassifyOptions
from runtime.outputs import check_labels
from runtime.private_copy import PrivateCopies
from runtime.quiet import quiet_stderr
from runtime.sources.open import every_frame_counts
from runtime.trial import try_model

# Seconds between two looks at the file.
_INTERVAL = 1.0
# How far the process in which a new model is tried stands back behind the loop: about a third of its share of a busy
# processor (sched(7), "The nice value").
_NICE = 5


def open_reloader(options: ClassifyOptions, log: TextIO) -> ModelReloader:
    """Load the model for a loop that runs for long: tried in a process of its own, and from a copy of its own.

    Args:
        options: which model, and how it is run; labels that they name must be the model's, and any later one's.
        log: which model it is, its warnings, and later what was reloaded.

    Raises:
        EdgeExportError: the model cannot be used.
    """
    load = _Loader(load_request(options.model, log), options)
    reloader = ModelReloader(load.path, load, partial(print, file=log, flush=True), load.end)
    reloader.tell_warnings()
    load.beside = True
    return reloader


class _Loader:
    """Makes a classifier of a model file as it is now.

    Attributes:
        path: of the file.
        beside: whether a loop runs meanwhile, which must not be held up.
    """

    def __init__(self, request: LoadRequest, options: ClassifyOptions) -> None:
        self.path, self.beside = request.path, False
        self._request, self._options = request, options
        self._copies = PrivateCopies()
        self.end = self._copies.end

    def __call__(self) -> Classifier:
        """Load it.

        Raises:
            EdgeExportError: it cannot be used, or lacks labels that the options name.
        """
        with self._copies.of(self.path) as copy:
            theirs = replace(self._request, path=copy)
            try:
                try_model(theirs, _NICE if self.beside else 0)
                with quiet_stderr():
                    classifier = self._named(theirs.load(), copy)
                    classifier.model.run()  # the first run takes longest: no frame need wait for it
                    if self._options.camera is not None and every_frame_counts(self._options.camera):
                        classifier.make_twins()
            except EdgeExportError as error:  # in which the copy is named
                raise type(error)(str(error).replace(shown(copy), shown(self.path))) from error
        check_labels(self._options, classifier.contract.labels)
        return classifier

    def _named(self, classifier: Classifier, copy: Path) -> Classifier:
        """By the user's file, not by our copy of it."""
        contract, name = classifier.contract, shown(self.path)
        warnings = tuple(warning.replace(shown(copy), name) for warning in contract.warnings)
        classifier.contract = replace(contract, file=replace(contract.file, path=self.path), warnings=warnings)
        classifier.model.name = name
        return classifier


class ModelReloader:
    """Loads a model file, watches it, and puts a new one in place when it is good.

    Args:
        path: of the model file.
        load: makes a classifier of the file as it is now; raises EdgeExportError.
        log: told in one line what was done.
        end: called when nothing is loaded any more, though ``load`` may be in the middle of it on another thread.
        interval: seconds between two looks at the file.

    Attributes:
        slot: holds the model in use.
        log: as given.

    Raises:
        EdgeExportError: the first model cannot be used.
    """

    def __init__(
        self,
        path: Path,
        load: Callable[[], Classifier],
        log: Callable[[str], None],
        end: Callable[[], None] = lambda: None,
        interval: float = _INTERVAL,
    ) -> None:
        self._path, self._load, self.log, self._end, self._interval = path, load, log, end, interval
        self._seen = file_stamp(path)  # before it is loaded: what is written meanwhile is news
        self.slot = ModelSlot(load())
        self._wake = threading.Event()
        self._asked = self._ended = False
        self._thread = threading.Thread(target=self._run, name="model reloader", daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the file, and SIGHUP where this is the main thread, in the block."""
        with self._on_hangup():
            self._thread.start()
            try:
                yield
            finally:
                self._ended = True
                self._wake.set()
                self._end()

    def reload(self) -> bool:
        """Load the file as it is now; True where it took the old one's place.

        A file that cannot be used is told to the log, and the old model stays.
        """
        before = file_stamp(self._path)
        try:
            classifier = self._load()
        except Exception as error:  # of whatever kind: the thread goes on watching
            self._refuse(error)
            return False
        finally:
            self._seen = before  # what was written meanwhile is news
        if self._ended:
            return False
        self.slot.current = classifier
        self.tell_warnings()
        self._tell(
            f"model: {shown(self._path)} was replaced; the new one, {len(classifier.contract.labels)} labels, is in use"
        )
        return True

    def tell_warnings(self) -> None:
        """What the user should know about the model in use."""
        for warning in self.slot.current.contract.warnings:
            self._tell(f"warning: {warning}")

    def _refuse(self, error: Exception) -> None:
        ours = isinstance(error, (EdgeExportError, OSError, MemoryError))
        why = one_line(error) if ours else f"{type(error).__name__}: {one_line(first_line(error))}"
        self._tell(f"model: the new {shown(self._path)} is refused, the old one stays in use: {why}")

    def _tell(self, line: str) -> None:
        if not self._ended:
            with suppress(OSError, ValueError):  # nobody reads the log any more; ValueError: it is closed
                self.log(line)

    def _run(self) -> None:
        changed: tuple[int, int, int, int] | None = None
        while True:
            self._wake.wait(self._interval)
            if self._ended:
                return
            self._wake.clear()
            now = file_stamp(self._path)
            if self._asked:
                self._asked = False
                self.reload()
            elif now is None or now == self._seen:
                changed = None
            elif now == changed:  # unchanged between two looks: whoever writes it is done
                self.reload()
                changed = None
            else:
                changed = now

    @contextmanager
    def _on_hangup(self) -> Iterator[None]:
        number = getattr(signal, "SIGHUP", None)  # Windows has none
        if number is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(number)
        terminals = _terminals()

        def hangup(received: int, frame: FrameType | None) -> None:
            if terminals and not _terminals() and callable(before):
                before(received, frame)  # the terminal was closed: the command ends, as without us
            else:
                self._asked = True
                self._wake.set()

        signal.signal(number, hangup)
        try:
            yield
        finally:
            signal.signal(number, before)


def _terminals() -> int:
    """How many of the three standard streams are a terminal that is still there."""
    return sum(os.isatty(number) for number in (0, 1, 2))
