"""From what was asked for to the actions that do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TextIO

from runtime.actions.action import Action
from runtime.actions.text import LiveLine, PrintChanges, PrintJson, PrintPictures
from runtime.options import ClassifyOptions


def actions_for(options: ClassifyOptions, out: TextIO, log: TextIO) -> list[Action]:
    """All actions that were asked for, ready.

    Args:
        options: of the command.
        out: answers.
        log: what happens beside them.

    Raises:
        UsageError: one of them is asked for wrongly.
        MissingPackageError: a package is needed for one.
    """
    return [_printer(options, out)]


def _printer(options: ClassifyOptions, out: TextIO) -> Action:
    if options.outputs.json:
        return PrintJson(out)
    if options.camera is None:
        return PrintPictures(out)
    return LiveLine(out) if out.isatty() else PrintChanges(out)


@contextmanager
def closing(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """The actions in the block; behind it each is closed, whatever happened."""
    with ExitStack() as stack:
        for action in actions:
            stack.callback(action.close)
        yield actions
