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

# Seconds after which a KeyboardInterrupt that Python has dropped is raised again: behind the finalizer that it met.
_AGAIN = 0.05


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """Let SIGTERM and a closed terminal end the block as Ctrl-C does, so that nothing half-made is left behind.

    Yields:
        The signals received, to which more are added.
    """
    received: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        if number in received and (number != signal.SIGINT or is_child()):
            return  # `timeout` and others send it twice: clearing up goes on
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
        with _none_dropped(received):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _none_dropped(received: list[int]) -> Iterator[None]:
    """Raise a KeyboardInterrupt again that came while an object was finalized, where Python drops and shows it."""
    before = sys.unraisablehook
    again: list[threading.Timer] = []

    def hook(dropped: UnraisableHookArgs) -> None:
        if not received or dropped.exc_type is not KeyboardInterrupt:
            before(dropped)
            return
        again.append(threading.Timer(_AGAIN, _send_to_main_thread, [received.pop()]))
        again[-1].daemon = True
        again[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in again:
            timer.cancel()


def _send_to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # which wakes it from waiting, too
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)
