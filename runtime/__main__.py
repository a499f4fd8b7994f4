"""The ``runtime`` command: its script, and ``python -m runtime``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; returns its exit code."""
    try:
        from runtime.cli import main as run

        return run()
    except KeyboardInterrupt:  # while its modules were loaded
        sys.stderr.write("\nruntime: interrupted\n")
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
