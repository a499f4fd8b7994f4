"""The ``runtime`` command: its script, and ``python -m runtime``."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress


def main() -> int:
    """Run the command; returns its exit code."""
    # While modules load there is nothing to collect; Python looks 80 times all the same, for a tenth of the start.
    gc.set_threshold(50_000, 20, 100)
    try:
        from runtime import guard

        if guard.wanted(sys.argv[1:]):
            return guard.guarded(_run)
        code = _run()
        _end_with_camera(code)
        return code
    except KeyboardInterrupt:  # while its modules were loaded
        return _interrupted()


def _run() -> int:
    try:
        from runtime.cli import main as run

        return run()
    except KeyboardInterrupt:  # while its modules were loaded
        return _interrupted()


def _end_with_camera(code: int) -> None:
    """End the process here where a camera's thread still waits in its driver.

    Where it came back while Python takes itself apart, it would be ended within C++ code: that aborts the process.
    """
    threading = sys.modules.get("threading")
    if threading is not None and any(thread.name == "capture" for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _interrupted() -> int:
    from runtime.last_line import say_last

    say_last("runtime: interrupted")
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
