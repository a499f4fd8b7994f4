"""What the commands ``runtime`` and ``toolkit`` share: one way to run a subcommand and to end in an error."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from runtime.errors import EdgeExportError

# Conventional exit code of a program ended by Ctrl-C: 128 + SIGINT.
_INTERRUPTED = 130


def run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    """Parse, call ``args.run(args)``, and turn every error a user can cause into one line on standard error.

    Returns:
        The exit code: 0 done, 1 the data or the machine, 2 the command line, 130 Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # labels and paths in any language, whatever the locale says
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        args = parser.parse_args(argv)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: --help 0, bad usage 2
        return stop.code if isinstance(stop.code, int) else 2
    except EdgeExportError as error:
        sys.stderr.write(f"{parser.prog}: error: {' '.join(str(error).split())}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{parser.prog}: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has gone: that is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
