"""A crash becomes a message: the command runs in a child process, and a parent that does nothing else outlives it.

Interpreters and picture decoders are written in C and C++. What a damaged file makes them do is checked before
(``model_checks``, ``images``), but a check that is missing must not end in a bare ``Segmentation fault``. So the
process splits before anything large is loaded: the child does all the work, the parent waits with the few megabytes
of an empty Python, hands on signals, and says what happened where the child dies.

A camera's loop and the live page run without a parent, as a service does: their model is tried in a child process
before, see ``runtime.trial``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

#: Seconds that the child has to end after a signal; what it does in C code ends with it.
GRACE = 0.8
# Conventional exit code of a program ended by a signal: 128 + its number.
_SIGNALLED = 128
_CRASHES = {
    "SIGSEGV": "segmentation fault",
    "SIGABRT": "abort",
    "SIGBUS": "bus error",
    "SIGFPE": "arithmetic error",
    "SIGILL": "illegal instruction: is this package built for another processor?",
}
_NOTE_BYTES = 8192
# si_code of a signal that the terminal sends, to the child as well: linux/include/uapi/asm-generic/siginfo.h
_SI_KERNEL = 0x80
# Commands that run models on files; with a camera they have no parent.
_GUARDED = frozenset({"classify", "benchmark"})


class _Note:
    """What the child is at, in memory that the parent reads after its death; nothing where there is no parent."""

    def __init__(self) -> None:
        self.shared: memoryview | None = None
        self.model = ""

    def write(self, picture: str) -> None:
        if self.shared is not None:
            text = f"{self.model[:2000]}\0{picture[:2000]}\0".encode("utf-8", "backslashreplace")[:_NOTE_BYTES]
            self.shared[: len(text)] = text


_NOTE = _Note()


def loading(model: object) -> None:
    """Note that a model is being loaded, for the case that this crashes."""
    if _NOTE.shared is not None:
        _NOTE.model = str(model)
        _NOTE.write("")


def looking_at(picture: object) -> None:
    """Note that a picture is being decoded or classified, for the case that this crashes.

    Where several threads are at pictures, it may be one of those that the others took before.
    """
    if _NOTE.shared is not None:
        several = threading.current_thread() is not threading.main_thread()
        _NOTE.write(f"{picture}{' or a picture shortly before it' if several else ''}")


def forget_parent() -> None:
    """In a process that has parted from the child: what it is at is not the child's work."""
    _NOTE.shared = None


def is_child() -> bool:
    """Whether a parent waits for this process, which ends it where it does not end by itself after a signal."""
    return _NOTE.shared is not None


def wanted(words: Sequence[str]) -> bool:
    """Whether these arguments of ``runtime`` ask for something that runs in a child process."""
    if not hasattr(os, "fork") or not hasattr(signal, "sigwait"):
        return False
    command = next((word for word in words if not word.startswith("-")), None)
    # As argparse takes it: shortened, or with its value behind "=".
    camera = any(word.startswith("--ca") and "--camera".startswith(word.partition("=")[0]) for word in words)
    return command in _GUARDED and not camera


def guarded(run: Callable[[], int]) -> int:
    """Call a function in a child process.

    Args:
        run: gives an exit code; imports what it needs itself, so that nothing is loaded before the processes part.

    Returns:
        Its exit code; 1 where it crashed, which standard error then says in one line.
    """
    import mmap

    watched = [signal.SIGCHLD]
    watched += [number for number in _handed_on() if signal.getsignal(number) is not signal.SIG_IGN]
    shared = memoryview(mmap.mmap(-1, _NOTE_BYTES))
    reading, writing = os.pipe()  # nothing is ever written: its other end closes when the parent is gone
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        child = os.fork()
    except OSError:  # no more processes allowed: better unguarded than not at all
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return run()
    if not child:
        os.close(writing)
        _end_with_parent(reading)
        _NOTE.shared = shared
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _work(run)
    os.close(reading)
    try:
        status, ended_by = _wait(child, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    return _obituary(os.WTERMSIG(status), ended_by, bytes(shared))


def _handed_on() -> tuple[signal.Signals, ...]:
    return (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _work(run: Callable[[], int]) -> NoReturn:
    """The child's whole life. It ends without taking Python apart, which costs more than all its own imports."""
    code = 1
    try:
        code = run()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


def _end_with_parent(reading: int) -> None:
    """Let the system end this process when the parent is killed: SIGIO comes when the pipe's other end closes."""
    import fcntl

    with suppress(OSError, AttributeError):
        fcntl.fcntl(reading, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)


def _wait(child: int, watched: Sequence[int]) -> tuple[int, int]:
    """(Status of the child's end, the signal that it was asked to end by or 0)."""
    ended_by, deadline = 0, None
    while True:
        number, by_terminal = _next_signal(watched, deadline)
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status, ended_by
        if number and number != signal.SIGCHLD:
            if not by_terminal:
                os.kill(child, number)
            if not ended_by:
                ended_by, deadline = number, time.monotonic() + GRACE
        if deadline is not None and time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1], ended_by


def _next_signal(watched: Sequence[int], deadline: float | None) -> tuple[int, bool]:
    """(The next signal or 0 where none came in time, whether the terminal sent it to the child too)."""
    if not hasattr(signal, "sigtimedwait"):  # macOS
        if deadline is None:
            return signal.sigwait(watched), False
        time.sleep(0.05)
        return 0, False
    patience = 1e6 if deadline is None else max(0.0, deadline - time.monotonic())
    found = signal.sigtimedwait(watched, patience)
    return (0, False) if found is None else (found.si_signo, found.si_code == _SI_KERNEL)


def _obituary(number: int, ended_by: int, note: bytes) -> int:
    """Say why the child is dead; returns the exit code."""
    if ended_by:
        from runtime.last_line import say_last

        say_last(
            f"runtime: {'interrupted' if ended_by == signal.SIGINT else f'ended by {signal.Signals(ended_by).name}'}"
        )
        return _SIGNALLED + ended_by
    from runtime.errors import one_line

    name = signal.Signals(number).name
    model, picture = (part.decode("utf-8", "replace") for part in note.split(b"\0")[:2])
    at = " and ".join(part for part in (picture, model) if part) or "the command"
    if name in _CRASHES:
        advice = "try another picture, and another model" if picture else "convert the model again, or fetch it again"
        text = f"{at}: the interpreter or a decoder crashed ({_CRASHES[name]}); a damaged file does that: {advice}"
    elif number == signal.SIGKILL:
        text = f"{at}: killed, most likely for lack of memory; use smaller pictures, or a smaller model"
    else:
        sys.stderr.write(f"runtime: ended by {name}\n")
        return _SIGNALLED + number
    sys.stderr.write(f"runtime: error: {one_line(text)}\n")
    return 1
