"""The ``toolkit`` command: its script, and ``python -m toolkit``."""

from __future__ import annotations

import gc


def main() -> int:
    """Run the command; returns its exit code."""
    try:
        from toolkit.cli import main as run

        return run()
    except KeyboardInterrupt:  # while its modules were loaded
        from runtime.last_line import say_last

        say_last("toolkit: interrupted")
        return 130
    finally:
        # The process ends here. Python would look through all that its modules hold for garbage first, for 40 ms.
        gc.freeze()


if __name__ == "__main__":
    raise SystemExit(main())
