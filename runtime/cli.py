"""The ``runtime`` command: classify pictures and camera frames, look into model files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from runtime.command import CommandParser, HelpFormatter, ShowVersion, run_command
from runtime.quiet import own_stderr

_DESCRIPTION = "Runs picture classifiers (.tflite) on this device."
_EPILOG = """\
examples:
  runtime classify photo.jpg                      the export in ./model, int8 preferred
  runtime classify --model flowers_int8.tflite photos/
  runtime classify --camera 0 --json              one JSON object a frame
  runtime serve --camera 0                        the same on a page for any browser
  runtime info flowers_int8.tflite                what is in a model file
  runtime benchmark flowers_int8.tflite           how fast it is here

exit codes: 0 done, 1 bad data (a file, a camera, the model), 2 wrong usage, 141 the reader of standard output has gone
"""
# Subcommand -> its line in ``runtime --help``. Each is a module of ``runtime.commands`` with DESCRIPTION, EPILOG,
# ``add_arguments`` and ``run``.
COMMANDS = {
    "benchmark": "measure what a model costs on this device",
    "classify": "name what pictures or camera frames show",
    "serve": "show camera and answers on a page for any browser",
    "info": "show what a model file holds and which runtime it needs",
    "doctor": "look at this device, and say how each fault is mended",
    "install-service": "start with the device and run all year, by systemd",
}


def build_parser(argv: Sequence[str]) -> CommandParser:
    """The command line, as far as these arguments need it: only the subcommand among them is loaded."""
    parser = CommandParser("runtime", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=HelpFormatter)
    parser.add_argument("--version", action=ShowVersion)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    meant = next((word for word in argv if not word.startswith("-")), None)
    for name, line in COMMANDS.items():
        if name != meant:
            commands.add_parser(name, help=line)
            continue
        module = import_module(f"runtime.commands.{name.replace('-', '_')}")
        command = commands.add_parser(
            name, help=line, description=module.DESCRIPTION, epilog=module.EPILOG, formatter_class=HelpFormatter
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    with own_stderr():
        return run_command(build_parser(words), words)


if __name__ == "__main__":
    raise SystemExit(main())
