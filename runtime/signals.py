"""Signals that end a command as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from runtime.guard import is_child

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# Seconds after which a signal comes again whose KeyboardInterrupt was or would be dropped: behind what it met.
_AGAIN = 0.05
# Short methods that code in C asks an object by, and takes an exception for a no. TensorFlow does, thousands of times
# while it traces a network: an interrupt there was lost, and the training went on with a wrong answer.
_ASKED = frozenset({"__instancecheck__", "__subclasscheck__", "__subclasshook__", "__getattr__"})
# An answer may take calls of its own.
_DEEPEST = 3


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """Let SIGTERM and a closed terminal end the block as Ctrl-C does, so that nothing half-made is left behind.

    Yields:
        The signals received, to which more are added.
    """
    received: list[int] = []
    again = _Again()

    def end(number: int, frame: FrameType | None) -> None:
        if number in received and (number != signal.SIGINT or is_child()):
            return  # `timeout` and others send it twice: clearing up goes on
        if _is_asked(frame):
            again.send(number)
            return
        received.append(number)
        raise KeyboardInterrupt

    before = {}
    if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # Where it is ignored, as after `nohup`, it stays so.
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, end)
    try:
        with _none_dropped(received, again):
            yield received
    finally:
        again.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_asked(frame: FrameType | None) -> bool:
    for _ in range(_DEEPEST):
        if frame is None:
            return False
        if frame.f_code.co_name in _ASKED:
            return True
        frame = frame.f_back
    return False


class _Again:
    """Signals that the main thread is sent once more, a moment later."""

    def __init__(self) -> None:
        self._timers: list[threading.Timer] = []

    def send(self, number: int) -> None:
        self._timers.append(threading.Timer(_AGAIN, _send_to_main_thread, [number]))
        self._timers[-1].daemon = True
        self._timers[-1].start()

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()


@contextmanager
def _none_dropped(received: list[int], again: _Again) -> Iterator[None]:
    """Raise a KeyboardInterrupt again that came while an object was finalized, where Python drops and shows it."""
    before = sys.unraisablehook

    def hook(dropped: UnraisableHookArgs) -> None:
        if received and dropped.exc_type is KeyboardInterrupt:
            again.send(received.pop())
        else:
            before(dropped)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _send_to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes it from waiting, too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
