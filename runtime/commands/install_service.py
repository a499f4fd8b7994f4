"""``runtime install-service``: keep a camera classified from power-on to power-off."""

from __future__ import annotations

import argparse
import sys

from runtime.errors import UsageError

DESCRIPTION = "Write a systemd unit that starts a runtime command with the device and keeps it going."
EPILOG = """\
examples:
  sudo .venv/bin/runtime install-service -- serve --camera 0 --model /opt/flowers/flowers_int8.tflite
  runtime install-service --output - -- classify --camera pi --json      only show the unit
  sudo .venv/bin/runtime install-service --name door --user pi -- classify --camera 0 --save /home/pi/pictures

What stands behind -- is the command, as you would type it after "runtime". It is started with the device, restarted
when it ends, when it shows no sign of life for a while (--watchdog), and when it takes more memory than it may
(--memory). Without --user it runs as a user of its own, that may read but not write, except in /var/lib/NAME.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the command can be told."""
    parser.add_argument("--name", default="edge-classifier", help="of the service (default: edge-classifier)")
    parser.add_argument(
        "--user", default="", help="existing user that runs it (default: one that systemd makes for it alone)"
    )
    parser.add_argument(
        "--memory", metavar="SIZE", default="256M", help="limit, 256M or 40%% for example (default: 256M)"
    )
    parser.add_argument(
        "--watchdog", metavar="SECONDS", type=int, default=30, help="restart after so long without life (default: 30)"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write the unit there; - shows it (default: /etc/systemd/system/NAME.service)"
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="serve or classify, with options"
    )


def run(args: argparse.Namespace) -> int:
    """Write the unit and say how it is started; returns the exit code."""
    from runtime.service.install import install

    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not words:
        raise UsageError(
            "name the command that is to run, behind --: runtime install-service -- serve --camera 0 --model M"
        )
    return install(args.name, args.user, args.memory, args.watchdog, args.output, words, sys.stdout, sys.stderr)
