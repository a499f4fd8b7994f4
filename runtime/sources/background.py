"""Runs a call on a thread of its own, so that signals are heard while it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T]) -> T:
    """What the call returns, or raises. Where a signal ends the wait, the thread is left to itself."""
    results: list[T] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again where it is waited for
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="fetch", daemon=True).start()
    while not done.wait(0.25):
        pass
    if failures:
        raise failures[0]
    return results[0]
