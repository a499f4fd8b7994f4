"""Runs a stranger's network so that Ctrl-C ends it at once, and a loop that never ends is given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from converters.inputs.graph import all_nodes
from runtime.errors import ModelError
from runtime.file_kind import shown

#: Seconds that a network may take for one picture. The largest ones need a few on two cores.
LONGEST_RUN = 30.0
# Seconds between two looks at what came of it: Windows notices Ctrl-C only there.
_LOOK = 0.2
# Seconds for TensorFlow to stop once it is told to; a loop stops within milliseconds.
_STOPPING = 0.5
# What may hold a loop, or choose between functions that do.
_CONTROL_FLOW = ("While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")

T = TypeVar("T")


def run_limited(call: Callable[[], T], cancel: Callable[[], None], name: str, pictures: int = 1) -> T:
    """Run something that TensorFlow may never come back from, in a thread of its own.

    Python tells of a signal in its main thread, and not before a call into C++ is over: there it waits in vain.

    Args:
        call: to run.
        cancel: makes the call fail soon; called when time is over, or a signal ends the program.
        name: of the model, for the error.
        pictures: that are run in this call.

    Raises:
        ModelError: it takes longer than ``LONGEST_RUN`` for each picture.
        Exception: what the call raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    seconds = LONGEST_RUN * pictures

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised below, where somebody waits for it
            errors.append(error)

    thread = threading.Thread(target=work, name="network", daemon=True)
    try:
        thread.start()
        for _ in range(max(1, round(seconds / _LOOK))):
            thread.join(_LOOK)
            if not thread.is_alive():
                break
    finally:
        is_late = thread.is_alive()
        if is_late:
            cancel()
            thread.join(_STOPPING)
    if is_late:
        raise ModelError(
            f"{name}: the network does not end within {seconds:g} seconds; it holds a loop that never ends, or is too "
            "large for this machine"
        )
    if errors:
        raise errors[0]
    return results[0]


def run_function(call: Callable[[], T], name: str, pictures: int = 1) -> T:
    """The same for functions of TensorFlow 2, which are cancelled by TensorFlow's own means.

    Raises:
        ModelError: it takes longer than ``LONGEST_RUN`` for each picture.
        Exception: what the call raises.
    """
    from tensorflow.python.eager import cancellation

    manager = cancellation.CancellationManager()

    def cancellable() -> T:
        with cancellation.CancellationManagerContext(manager):
            return call()

    return run_limited(cancellable, manager.start_cancel, name, pictures)


def make_cancellable(definition: Any) -> None:
    """Have TensorFlow take loops apart before it runs them.

    A loop that is one operation is run by a function that calls itself from C++: one that never ends fills the stack,
    which ends the process. One that depends on no input is even run where nothing can cancel it.

    Args:
        definition: a ``GraphDef``; it is changed.
    """
    for node in all_nodes(definition):
        if node.op in _CONTROL_FLOW:
            node.attr["_lower_using_switch_merge"].b = True


def require_cancellable(definition: Any, name: str) -> None:
    """Refuse what ``make_cancellable`` would have to change, where TensorFlow itself loads the file.

    TensorFlow has marked all control flow that it saves since 2.0.

    Raises:
        ModelError: a loop, or a choice between functions, that is not marked.
    """
    for node in all_nodes(definition):
        if node.op in _CONTROL_FLOW and not node.attr["_lower_using_switch_merge"].b:
            raise ModelError(
                f"{name}: its operation {shown(node.op)} is written so that nothing could end it while it runs; "
                "save the model anew with today's TensorFlow"
            )
