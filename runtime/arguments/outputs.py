"""What is done with answers."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.command import name_argument
from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.actions.options import CommandRule, SaveOptions
    from runtime.options import OutputOptions

# With a camera: bytes of pictures that are kept unless told otherwise, and seconds between two of one label.
_SAVE_LIMIT, _SAVE_PAUSE = 1_000_000_000, 1.0
# The same for the commands of --on: seconds between two starts, and until one is killed.
_ON_PAUSE, _ON_TIMEOUT = 1.0, 30.0
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
# Options that mean nothing without another, and that other.
_NEEDS = {
    "save_uncertain": "save",
    "save_limit": "save",
    "save_pause": "save",
    "on_pause": "on",
    "on_timeout": "on",
}


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add the fields of ``OutputOptions``."""
    group = parser.add_argument_group("outputs")
    group.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    group.add_argument(
        "--csv",
        metavar="FILE",
        type=Path,
        help="append one row for each answer; the header once (UTF-8). With a camera, --every 60 keeps it short",
    )
    _add_save(group)
    group.add_argument(
        "--window", action="store_true", help="show a camera's frames and their labels in a window; q closes it"
    )
    _add_on(group)
    group.add_argument(
        "--mqtt",
        metavar="URL",
        type=name_argument,
        help="publish a camera's answers: mqtt://[user[:password]@]host[:port]/topic, mqtts:// for TLS; the password "
        "may stand in the variable MQTT_PASSWORD instead. Home Assistant finds it by itself (?discovery=PREFIX, empty "
        "for none)",
    )
    group.add_argument(
        "--gpio",
        metavar="LABEL=PIN",
        action="append",
        type=name_argument,
        help="a pin that is on while the label holds on a camera's frames: 17 (as GPIO17) or BOARD11; may be repeated",
    )


def _add_save(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--save",
        metavar="DIR",
        type=Path,
        help="keep pictures in a folder for each label, the next training set: files as they are, frames of a camera "
        "as JPEG; without an answer in _unknown_",
    )
    group.add_argument(
        "--save-uncertain",
        metavar="S",
        type=float,
        help="keep only what has no answer, or one with a score below S, under its best guess",
    )
    group.add_argument(
        "--save-limit",
        metavar="SIZE",
        help="the pictures kept take so much at most: 500MB, 4GB; none. With a camera the oldest of them go then "
        "(default: 1GB), else no more are kept (default: none)",
    )
    group.add_argument(
        "--save-pause",
        metavar="SECONDS",
        type=float,
        help="with a camera: at least so long between two pictures of a label (default: 1)",
    )


def _add_on(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--on",
        metavar=("LABEL", "COMMAND"),
        nargs=2,
        action="append",
        help="start a command when the label appears, 'unknown' when none holds: --on cat 'notify-send {label} "
        "{score}'. Filled in are {label}, {score}, {source}, {frame} and {time}; there is no shell. May be repeated",
    )
    group.add_argument(
        "--on-pause",
        metavar="SECONDS",
        type=float,
        help="at least so long between two starts of one command; a label that appears earlier and stays starts it "
        "then (default: 1 with a camera, else 0)",
    )
    group.add_argument(
        "--on-timeout", metavar="SECONDS", type=float, help="a command that takes longer is killed (default: 30)"
    )


def output_options(args: argparse.Namespace) -> OutputOptions:
    """What ``add_outputs`` asked for.

    Raises:
        UsageError: a value that cannot be, or an option that another is missing for.
    """
    from runtime.options import OutputOptions

    camera = getattr(args, "camera", None) is not None
    for name, other in _NEEDS.items():
        if getattr(args, name) is not None and getattr(args, other) is None:
            raise UsageError(f"--{name.replace('_', '-')} needs --{other}")
    for name in ("window", "mqtt", "gpio", "save_pause"):
        if getattr(args, name) and not camera:
            raise UsageError(f"--{name.replace('_', '-')} needs --camera")
    mqtt = None
    if args.mqtt is not None:
        from runtime.actions.mqtt_target import mqtt_target

        mqtt = mqtt_target(args.mqtt)
    return OutputOptions(
        json=args.json,
        csv=args.csv,
        save=_save(args, camera=camera),
        window=args.window,
        on=tuple(_rule(label, command, args, camera=camera) for label, command in args.on or ()),
        mqtt=mqtt,
        gpio=tuple(_pin(text) for text in args.gpio or ()),
    )


def _save(args: argparse.Namespace, *, camera: bool) -> SaveOptions | None:
    if args.save is None:
        return None
    from runtime.actions.options import SaveOptions

    if args.save_uncertain is not None and not 0 < args.save_uncertain <= 1:
        raise UsageError(f"--save-uncertain must be above 0 and at most 1, not {args.save_uncertain:g}")
    limit = (_SAVE_LIMIT if camera else None) if args.save_limit is None else _bytes(args.save_limit)
    pause = _seconds(args, "save_pause", _SAVE_PAUSE if camera else 0.0)
    return SaveOptions(args.save, args.save_uncertain, limit, pause)


def _bytes(text: str) -> int | None:
    if text == "none":
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?b)?", text.lower())
    size = int(float(found[1]) * _UNITS[found[2] if found[2] and found[2] != "b" else ""]) if found else 0
    if not size:
        raise UsageError(f"--save-limit must be a size as 500MB or 4GB, or none; got {text!r}")
    return size


def _rule(label: str, command: str, args: argparse.Namespace, *, camera: bool) -> CommandRule:
    import shlex

    from runtime.actions.options import CommandRule

    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"--on {label!r}: {command!r} is no command line: {error}") from None
    if not words:
        raise UsageError(f"--on {label!r}: the command is empty")
    _check_placeholders(label, command)
    pause = _seconds(args, "on_pause", _ON_PAUSE if camera else 0.0)
    timeout = _seconds(args, "on_timeout", _ON_TIMEOUT)
    if not timeout:
        raise UsageError("--on-timeout must be above 0")
    return CommandRule(label, words, pause, timeout)


def _check_placeholders(label: str, command: str) -> None:
    """Braces may be meant as they are, but not ``{lable}``."""
    from difflib import get_close_matches

    from runtime.actions.placeholders import PLACEHOLDERS

    for name in re.findall(r"\{(\w+)\}", command):
        near = get_close_matches(name.lower(), PLACEHOLDERS, 1, cutoff=0.75)
        if near and name != near[0]:
            raise UsageError(f"--on {label!r}: {{{name}}} is not known; is {{{near[0]}}} meant?")


def _pin(text: str) -> tuple[str, str]:
    label, _, pin = text.rpartition("=")
    if not label or not pin:
        raise UsageError(f"--gpio must be LABEL=PIN, as cat=17; got {text!r}")
    return label, pin


def _seconds(args: argparse.Namespace, name: str, default: float) -> float:
    value: float | None = getattr(args, name)
    if value is None:
        return default
    if not 0 <= value <= 86_400:
        raise UsageError(f"--{name.replace('_', '-')} must be 0 to 86400 seconds, not {value:g}")
    return value
