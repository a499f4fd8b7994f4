"""From what was asked for to the actions that do it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from runtime.actions.action import Action
from runtime.actions.text import PrintChanges, PrintJson, PrintPictures
from runtime.answers import require_label
from runtime.options import ClassifyOptions

if TYPE_CHECKING:
    from runtime.said import Said


def actions_for(
    options: ClassifyOptions, out: TextIO, log: TextIO, labels: Sequence[str] | None = None
) -> list[Action]:
    """All actions that were asked for, ready.

    Args:
        options: of the command.
        out: answers.
        log: what happens beside them.
        labels: of the model; labels that are named in options must be among them. None leaves that unchecked.

    Raises:
        UsageError: one of them is asked for wrongly.
        MissingPackageError: a package is needed for one.
        DataError: this device cannot do one.
    """
    if labels is not None:
        check_labels(options, labels)
    printer = _printer(options, out)
    actions = [printer]
    with ExitStack() as stack:  # should one of them fail, those before it are closed
        for action in _others(options, log_beside(actions, log)):
            stack.callback(action.close)
            actions.append(action)
        stack.pop_all()
    return actions


def log_beside(actions: Sequence[Action], log: TextIO) -> TextIO:
    """The log as it must be written to beside these actions: a live line makes room for it."""
    terminal = sys.modules.get("runtime.actions.terminal")  # who has no live line has not loaded it
    line = next((action for action in actions if terminal is not None and isinstance(action, terminal.LiveLine)), None)
    return log if line is None else line.above(log)


def _printer(options: ClassifyOptions, out: TextIO) -> Action:
    if options.outputs.json:
        return PrintJson(out)
    if options.camera is None:
        return PrintPictures(out)
    from runtime.actions.terminal import LiveLine, is_terminal

    return LiveLine(out) if is_terminal(out) else PrintChanges(out)


def _others(options: ClassifyOptions, log: TextIO) -> Iterator[Action]:
    """Everything beside the answers on standard output; only what is asked for is loaded."""
    outputs, camera = options.outputs, options.camera is not None
    if outputs.csv is not None:
        from runtime.actions.csv_file import CsvFile

        yield CsvFile(outputs.csv, _said(log, "--csv") if camera else None)
    if outputs.save is not None:
        from runtime.actions.save import SavePictures

        yield SavePictures(outputs.save, _said(log, "--save"), camera=camera)
    if outputs.gpio:
        from runtime.actions.gpio import SwitchPins

        yield SwitchPins(outputs.gpio)
    if outputs.on:
        from runtime.actions.commands import RunCommands
        from runtime.file_kind import shown

        said = [_said(log, f"--on {shown(rule.label)}") for rule in outputs.on]
        yield RunCommands(outputs.on, said, camera=camera)
    if outputs.window:
        from runtime.actions.window import ShowWindow

        yield ShowWindow()
    if outputs.mqtt is not None:
        from runtime.actions.mqtt import PublishAnswers

        yield PublishAnswers(outputs.mqtt, _said(log, f"--mqtt {outputs.mqtt.host}:{outputs.mqtt.port}"))


def _said(log: TextIO, name: str) -> Said:
    from runtime.said import Said

    def write(line: str) -> None:
        log.write(f"{line}\n")  # in one piece: other threads write too
        log.flush()

    return Said(write, name)


def check_labels(options: ClassifyOptions, labels: Sequence[str]) -> None:
    """Refuse a model without the labels that options name.

    Raises:
        UsageError: an option names a label that the model does not have, or none is left to answer.
    """
    if options.rules.allow or options.rules.deny:
        options.rules.classes(labels)
    named = [("--on", rule.label) for rule in options.outputs.on]
    named += [("--gpio", label) for label, _ in options.outputs.gpio]
    if named:
        from runtime.actions.appearing import UNKNOWN

        for option, label in named:
            require_label(option, label, [*labels, UNKNOWN])


@contextmanager
def closing(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """The actions in the block; behind it each is closed, whatever happened."""
    with ExitStack() as stack:
        for action in actions:
            stack.callback(action.close)
        yield actions
