"""Moves what a conversion made into its folder: all of it or nothing, whenever the process is killed.

What is replaced or stale is set aside first, export.json before all else; export.json also comes last. Where a process
was killed in between, export.json is missing, and ``bring_back`` puts the earlier export back.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from converters.bundle import EXPORT_PAGE, REPORT_FILE, SCRATCH_PREFIX
from converters.digests import digest_of
from converters.locks import locked
from converters.report import files_of, report_bytes
from converters.whole_folder import dead_scratch_folders

# In the scratch folder: what was there before, and the list of what takes its place: name -> where it lies.
_ASIDE, _COMING = "aside", "coming.json"


def hand_over(
    made: Sequence[Path],
    report: dict[str, Any],
    page: bytes,
    target: Path,
    scratch: Path,
    check: Callable[[Iterable[str]], None] = lambda _names: None,
) -> list[str]:
    """Put files and folders in the place of those of an earlier conversion; drop stale ones.

    Args:
        made: lie in ``scratch``.
        report: the content of export.json.
        page: the content of export.html.
        target: folder for all of them.
        scratch: folder in ``target`` that goes when this is done.
        check: is given the names of all that will be put there, and raises where one is the user's.

    Returns:
        Names of the stale files that were dropped.

    Raises:
        OSError: the folder cannot be written; it is as it was.
    """
    # Written before anything is taken away: a full disk is found out here.
    texts = {EXPORT_PAGE: page, REPORT_FILE: report_bytes(report)}
    for name, content in texts.items():
        (scratch / name).write_bytes(content)
    coming = {path.name: path for path in (*made, *(scratch / name for name in texts))}  # export.json is the last
    check(coming)
    places = {name: str(path.relative_to(scratch)) for name, path in coming.items()}
    (scratch / _ASIDE).mkdir()
    listed = scratch / f"{_COMING}.new"
    listed.write_text(json.dumps(places), encoding="utf-8")
    listed.replace(scratch / _COMING)  # whole or not there
    kept = {entry["file"] for entry in report["files"] if entry["accepted"]}
    kept |= {part["file"] for entry in report["formats"] for part in entry["files"]}
    earlier = {name: digest for name, digest in files_of(target).items() if name not in kept}
    stale = sorted(name for name, digest in earlier.items() if _is_unchanged(target / name, digest))
    try:
        for name in (REPORT_FILE, *(name for name in (*coming, *stale) if name != REPORT_FILE)):
            if os.path.lexists(target / name):
                (target / name).replace(scratch / _ASIDE / name)
        for name, path in coming.items():
            path.replace(target / name)
    except BaseException:  # a signal too
        _put_back(target, scratch)
        raise
    return stale


def bring_back(target: Path) -> None:
    """Undo what a process has begun that was killed while it moved its files into place, and remove what it left."""
    if not target.is_dir():
        return
    with suppress(OSError), locked(target):
        for scratch in dead_scratch_folders(target, SCRATCH_PREFIX):
            if (scratch / _COMING).is_file() and not os.path.lexists(target / REPORT_FILE):
                _put_back(target, scratch)
            shutil.rmtree(scratch, ignore_errors=True)


def _put_back(target: Path, scratch: Path) -> None:
    """What has come goes back to where it lay, then what was set aside comes back, export.json last."""
    places: dict[str, str] = json.loads((scratch / _COMING).read_bytes())
    for name, place in reversed(places.items()):
        if not os.path.lexists(scratch / place) and os.path.lexists(target / name):
            (target / name).replace(scratch / place)
    for path in sorted((scratch / _ASIDE).iterdir(), key=lambda path: path.name == REPORT_FILE):
        path.replace(target / path.name)
    (scratch / _COMING).unlink()
    shutil.rmtree(scratch / _ASIDE)


def _is_unchanged(path: Path, digest: str) -> bool:
    """Whether a file or folder is what an earlier conversion wrote: what was changed since is the user's."""
    return path.exists() and digest_of(path) == digest
