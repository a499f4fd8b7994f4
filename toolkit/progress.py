"""One progress bar for all long work: count, rate (``images/s``) and time left, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol


class Progress(Protocol):
    """What long work tells its watcher."""

    def update(self, n: int = 1) -> object:
        """Report that ``n`` more units are done."""


class _Silent:
    def update(self, n: int = 1) -> None:
        pass


def silent_progress() -> AbstractContextManager[Progress]:
    """What ``progress_bar`` gives, for work that shows none."""
    return nullcontext(_Silent())


# Bars that are shown, each with the time of its last drawing behind which the line was ended.
_shown: list[list[Any]] = []


def say(line: str) -> None:
    """Write a line on standard error, on a line of its own while a bar is shown, too."""
    if sys.stderr is None:  # closed by whoever started this
        return
    if not _shown:
        sys.stderr.write(f"{line}\n")
        return
    bar, ended = _shown[-1]
    if sys.stderr.isatty():
        bar.clear()
        sys.stderr.write(f"{line}\n")
        bar.refresh()
    else:
        begun = bar.last_print_t != ended
        _shown[-1][1] = bar.last_print_t
        sys.stderr.write(f"\n{line}\n" if begun else f"{line}\n")


@cache
def _bar_class() -> type[Any]:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[type-arg]
        """A bar that is closed by its ``with`` alone."""

        def __del__(self) -> None:
            # tqdm's own closes the bar, and fails on one that a signal has left half made.
            pass

    return Bar


@contextmanager
def progress_bar(description: str, total: int | None, unit: str = " images", done: int = 0) -> Iterator[Progress]:
    """Show a bar on standard error while the block runs; one line at the end where that is no terminal.

    Args:
        description: what is being done, a few words.
        total: number of units of the whole work; None when unknown.
        unit: name of one unit; ``" B"`` is shown scaled (kB, MB).
        done: units that were done before (resumed work); they do not count for the rate.
    """
    is_bytes = unit.strip() == "B"
    terminal = sys.stderr.isatty()
    with _bar_class()(
        total=total,
        desc=description,
        unit=unit,
        unit_scale=is_bytes,
        initial=done,
        dynamic_ncols=True,
        mininterval=0.1 if terminal else 10.0,
        file=sys.stderr,
    ) as bar:
        shown = [bar, None]
        _shown.append(shown)
        try:
            yield bar
        finally:
            _shown.remove(shown)
