"""The ``runtime`` command: its script, and ``python -m runtime``."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command; returns its exit code."""
    # While modules load there is nothing to collect; Python looks 80 times all the same, for a tenth of the start.
    gc.set_threshold(50_000, 20, 100)
    try:
        from runtime import guard

        if guard.wanted(sys.argv[1:]):
            return guard.guarded(_run)
        return _run()
    except KeyboardInterrupt:  # while its modules were loaded
        return _interrupted()


def _run() -> int:
    try:
        from runtime.cli import main as run

        return run()
    except KeyboardInterrupt:  # while its modules were loaded
        return _interrupted()


def _interrupted() -> int:
    sys.stderr.write("\nruntime: interrupted\n")
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
