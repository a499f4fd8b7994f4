"""Hot reload: a replaced model file, or SIGHUP, puts another model in the old one's place between two frames."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TextIO

from runtime.answers import AnswerRules
from runtime.classifier import Classifier
from runtime.errors import EdgeExportError, ModelError, one_line
from runtime.file_kind import shown
from runtime.files import file_stamp
from runtime.find_model import load_request
from runtime.model_slot import ModelSlot
from runtime.options import ModelOptions
from runtime.quiet import quiet_stderr
from runtime.trial import try_model

# Seconds between two looks at the file.
_INTERVAL = 1.0


@contextmanager
def private_copy(path: Path) -> Iterator[Path]:
    """A copy of a model file that nobody else writes to, under the same name; gone behind the block.

    The interpreter maps its file and keeps what it mapped, also when the copy's name is gone. Were it the user's own
    file, writing another over it (``cp`` does) would end the process with SIGBUS.

    Raises:
        ModelError: the file cannot be read, or the copy cannot be written.
    """
    folder = None
    try:
        try:
            folder = tempfile.mkdtemp(prefix="edge-export-")
            copy = Path(shutil.copy(path, folder))
        except OSError as error:
            raise ModelError(f"{shown(path)}: cannot be copied for loading: {error.strerror or error}") from error
        yield copy
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def open_reloader(options: ModelOptions, rules: AnswerRules, log: TextIO) -> ModelReloader:
    """Load the model for a loop that runs for long: tried in a process of its own, and from a copy of its own.

    Args:
        options: which model, and how it is run.
        rules: labels that they name must be the model's, and any later one's.
        log: which model it is, its warnings, and later what was reloaded.

    Raises:
        EdgeExportError: the model cannot be used.
    """
    request = load_request(options, log)

    def load() -> Classifier:
        with private_copy(request.path) as copy:
            theirs = replace(request, path=copy)
            try:
                try_model(theirs)
                with quiet_stderr():
                    classifier = theirs.load()
            except EdgeExportError as error:  # in which the copy is named
                raise type(error)(str(error).replace(str(copy), shown(request.path))) from error
        rules.classes(classifier.contract.labels)
        return classifier

    reloader = ModelReloader(ModelSlot(load()), request.path, load, partial(print, file=log, flush=True))
    reloader.tell_warnings()
    return reloader


class ModelReloader:
    """Watches a model file, and puts a new one in place when it is good.

    Args:
        slot: holds the model in use.
        path: of the model file.
        load: makes a classifier of the file as it is now; raises EdgeExportError.
        log: told in one line what was done.
        interval: seconds between two looks at the file.

    Attributes:
        slot: the same.
        log: the same.
    """

    def __init__(
        self,
        slot: ModelSlot,
        path: Path,
        load: Callable[[], Classifier],
        log: Callable[[str], None],
        interval: float = _INTERVAL,
    ) -> None:
        self.slot, self._path, self._load, self.log, self._interval = slot, path, load, log, interval
        self._seen = file_stamp(path)
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

    def reload(self) -> bool:
        """Load the file as it is now; True where it took the old one's place.

        A file that cannot be used is told to the log, and the old model stays.
        """
        before = file_stamp(self._path)
        try:
            classifier = self._load()
        except (EdgeExportError, OSError, MemoryError) as error:
            self.log(f"model: the new {shown(self._path)} is refused, the old one stays in use: {one_line(error)}")
            return False
        finally:
            self._seen = before  # what was written meanwhile is news
        self.slot.current = classifier
        self.tell_warnings()
        self.log(
            f"model: {shown(self._path)} was replaced; the new one, {len(classifier.contract.labels)} labels, is in use"
        )
        return True

    def tell_warnings(self) -> None:
        """What the user should know about the model in use."""
        for warning in self.slot.current.contract.warnings:
            self.log(f"warning: {warning}")

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
