"""Commands that labels start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from runtime.actions.action import Seen
from runtime.actions.appearing import holding
from runtime.actions.options import CommandRule
from runtime.actions.placeholders import fill_in
from runtime.actions.worker import Worker
from runtime.errors import one_line
from runtime.file_kind import shown
from runtime.said import Said

# Bytes of a command's output that are kept for the log, should it fail.
_TAIL = 2000
# Seconds from the polite signal to the other one, and how often a running command is looked at.
_GRACE, _STEP = 0.2, 0.02


class RunCommands:
    """Starts a command when its label appears: without a shell, each in a group of processes of its own.

    Args:
        rules: which label starts what.
        said: for each rule, told what fails.
        camera: whether frames come without waiting. Then a label appears when it did not hold in the frame before, the
            command runs beside the loop, and where it still runs, or its pause is not over, it starts as soon as that
            has changed, if the label still holds then. Else every picture with the label starts it, and the next
            picture waits for its end.
    """

    def __init__(self, rules: Sequence[CommandRule], said: Sequence[Said], *, camera: bool) -> None:
        self._rules = [_Rule(rule, to, camera=camera) for rule, to in zip(rules, said, strict=True)]

    def handle(self, seen: Seen) -> None:
        """Start the commands of labels that have appeared."""
        labels = holding(seen)
        for rule in self._rules:
            rule.handle(seen, labels)

    def close(self) -> None:
        """Give running commands a moment, then end them."""
        try:
            for rule in self._rules:
                rule.end()
            for rule in self._rules:
                rule.close()
        finally:  # another signal has come meanwhile: no more patience
            for rule in self._rules:
                rule.kill()


class _Rule:
    """One command and its label."""

    def __init__(self, rule: CommandRule, said: Said, *, camera: bool) -> None:
        self._rule, self._said, self._camera = rule, said, camera
        # Whether it holds, and whether it has appeared without the command's having been started for it.
        self._held = self._due = False
        self._started: float | None = None
        self._deadline = threading.Event()  # set when everything must end
        self._process: subprocess.Popen[bytes] | None = None
        self._worker = Worker("command", self._run, 1, self._failed) if camera else None

    def handle(self, seen: Seen, labels: tuple[str, ...]) -> None:
        held, self._held = self._held, self._rule.label in labels
        if not self._held:
            if self._due and self._worker is not None and not self._worker.idle:
                self._said.say(f"{shown(self._rule.words[0])} is still running; not started again")
            self._due = False
            return
        self._due = self._due or not held or not self._camera
        now = time.monotonic()
        if not self._due or (self._started is not None and now - self._started < self._rule.pause):
            return
        if self._worker is not None and not self._worker.idle:
            return
        self._started, self._due = now, False
        words = fill_in(self._rule.words, seen, self._rule.label)
        if self._worker is None:
            self._run(words)
        else:
            self._worker.offer(words)

    def end(self) -> None:
        self._deadline.set()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close(2 * _GRACE)

    def kill(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            _signal(process, kill=True)

    def _run(self, words: tuple[str, ...]) -> None:
        """Run it to its end, or to the end of its time."""
        name = shown(words[0])
        try:
            process = subprocess.Popen(  # noqa: S603 - what the user wrote, as a list of arguments
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            self._said.say(f"{name} cannot be started: {getattr(error, 'strerror', None) or error}")
            return
        self._process = process
        try:
            output = _Tail(process)
            code = self._wait(process)
        finally:
            if process.poll() is None:  # Ctrl-C, while pictures wait for it; or nobody can read what it prints
                self.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_GRACE)
            self._process = None
        if code is None:
            if not self._deadline.is_set():
                self._said.say(f"{name} was killed after {self._rule.timeout:g} s (--on-timeout)")
        elif code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            said = output.last_line()
            self._said.say(f"{name} failed with {how}" + (f": {said}" if said else ""))
        else:
            self._said.forget()

    def _failed(self, error: Exception) -> None:
        """Something that nobody foresaw: no more threads, say."""
        self._said.say(f"{shown(self._rule.words[0])} could not be seen to: {type(error).__name__}: {one_line(error)}")

    def _wait(self, process: subprocess.Popen[bytes]) -> int | None:
        """Its exit code; None where it had to be killed."""
        until = time.monotonic() + self._rule.timeout
        # Waiting in steps: the end of the program may come in between. `wait` itself polls, too, with a timeout.
        while time.monotonic() < until and not self._deadline.is_set():
            try:
                return process.wait(_STEP)
            except subprocess.TimeoutExpired:
                continue
        for kill in (False, True):
            _signal(process, kill=kill)
            try:
                process.wait(_GRACE)
                return None
            except subprocess.TimeoutExpired:
                continue
        return None


class _Tail:
    """Reads what a command prints, so that it never waits for a reader, and keeps the end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._kept = b""
        # A process that the command left behind may hold the pipe open: nobody waits for this thread's end.
        self._thread = threading.Thread(target=self._read, name="command output", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # no more threads
            if process.stdout is not None:
                process.stdout.close()
            raise

    def last_line(self) -> str:
        self._thread.join(0.2)
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return one_line(next((line for line in reversed(lines) if line.strip()), ""))

    def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        with stream:
            while chunk := os.read(stream.fileno(), 65536):
                self._kept = (self._kept + chunk)[-_TAIL:]


def _signal(process: subprocess.Popen[bytes], *, kill: bool) -> None:
    """End the command and what it has started."""
    try:
        if sys.platform == "win32":
            process.kill() if kill else process.terminate()
        else:
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
    except OSError:  # it has ended meanwhile
        pass
