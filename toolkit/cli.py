"""The ``toolkit`` command: train, convert, evaluate, and what goes with them. Loads nothing heavy by itself."""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence

from runtime.command import CommandParser, HelpFormatter, ShowVersion, run_command
from runtime.errors import MissingPackageError
from toolkit.retrain_flags import with_new_names

_DESCRIPTION = "From a folder of pictures to a model that classifies on a Raspberry Pi or a phone."
# Each is a module of ``toolkit.commands``, in the order of the help.
_COMMANDS = ("inspect", "train", "convert", "verify", "evaluate", "predict", "architectures", "sample-data")
_EPILOG = """\
the whole way:
  toolkit train photos/            a folder per class -> ./model
  toolkit convert --quantize       -> ./model/export/*.tflite, float32 and int8, each one checked
  toolkit verify F.tflite --against model      every proof of a file once more
  toolkit evaluate model others/   how it does on other pictures: ./evaluation/report.html
  runtime classify photo.jpg       on the device, with nothing but a TFLite interpreter

no training at all, ImageNet's 1000 classes:
  toolkit predict --architecture efficientnet_lite0 photo.jpg

no pictures at hand:
  toolkit sample-data shapes shapes
  toolkit train shapes

exit codes: 0 done, 1 bad data (pictures, files, a model that fails its check), 2 wrong usage
"""


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """The whole command line, or as much of it as one command needs.

    Args:
        command: the word behind ``toolkit``. Where it is a command, no other command's module is loaded; else all are.
    """
    parser = CommandParser(
        "toolkit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action=ShowVersion)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in (command,) if command in _COMMANDS else _COMMANDS:
        importlib.import_module(f"toolkit.commands.{name.replace('-', '_')}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        parser = build_parser(*words[:1])
        parser.set_defaults(command_line=shlex.join(["toolkit", *words]))  # for reports
        return run_command(parser, with_new_names(words))
    except ModuleNotFoundError as error:  # `pip install .` alone brings the runtime, not all that the toolkit needs
        package = (error.name or "").partition(".")[0]
        if package in ("", "toolkit", "converters", "runtime"):
            raise
        sys.stderr.write(f"toolkit: error: this needs {package}: pip install 'edge-export-toolkit[train]'\n")
        return MissingPackageError.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
