"""Checkpoints of a long training: whole or absent, checked when read, the one before kept."""

from __future__ import annotations

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.atomic import clear_leftovers, write_bytes
from runtime.errors import DataError
from runtime.file_kind import shown

# How many are kept: the newest, and the one before it in case the newest is damaged.
_KEPT = 2
# A run that was killed is taken up again within days, if ever; its checkpoints are as large as the network or twice.
_ABANDONED_DAYS = 30
_NAME = re.compile(r"[0-9a-f]{32}-\d{6,9}\.checkpoint")
_MAGIC = b"edge-export-toolkit checkpoint 1\n"
_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Checkpoint:
    """A state of a training.

    Attributes:
        arrays: name -> array, any numeric type.
        facts: everything else, as JSON can hold it.
    """

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]


class CheckpointStore:
    """The checkpoints of one run: ``RUN-NUMBER.checkpoint`` in a folder.

    Args:
        folder: made when the first is saved.
        run: hex digest of everything that decides the run, so that no run finds another one's.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder, self._run = folder, run[:32]

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint; those older than the one before it go.

        Raises:
            DataError: the folder cannot be written; the checkpoints that are there stay.
        """
        numbers = [number for number, _ in self._files()]
        body = _pack(checkpoint)
        path = self._folder / f"{self._run}-{max(numbers, default=0) + 1:06d}.checkpoint"
        write_bytes(path, _MAGIC + hashlib.sha256(body).digest() + body)
        for _, old in self._files()[:-_KEPT]:
            with suppress(OSError):  # a folder of that name, say
                old.unlink(missing_ok=True)

    def load(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest checkpoint that is whole, and one line for each damaged one.

        Damaged ones are removed, so that what is saved next is the newest again.
        """
        said: list[str] = []
        for _, path in reversed(self._files()):
            try:
                return _unpack(path.read_bytes()), said
            except FileNotFoundError:  # another process that trains the very same has removed it
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                said.append(f"the checkpoint {shown(path)} is damaged ({reason}) and left out")
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        return None, said

    def remove(self) -> None:
        """Forget the run, and what killed ones left half-written; called when its result is safe."""
        if not self._folder.is_dir():
            return
        clear_leftovers(self._folder)
        for _, path in self._files():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty: another run's are in it
            self._folder.rmdir()

    def _files(self) -> list[tuple[int, Path]]:
        """Number and path of each, oldest first."""
        return sorted(self._find())

    def _find(self) -> Iterator[tuple[int, Path]]:
        try:
            entries = list(self._folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"cannot read the checkpoint folder {shown(self._folder)}: {error.strerror}") from error
        for path in entries:
            if match := re.fullmatch(rf"{self._run}-(\d{{6,9}})\.checkpoint", path.name):
                yield int(match[1]), path


def remove_abandoned(folder: Path, notify: Callable[[str], object]) -> None:
    """Remove checkpoints of any run that nobody has gone on with for a month.

    Args:
        folder: of checkpoints; need not be there.
        notify: is told in one line how many.
    """
    oldest, gone = time.time() - _ABANDONED_DAYS * 24 * 3600, 0
    with suppress(OSError):  # they only take room: no reason not to train
        clear_leftovers(folder)
        for path in folder.glob("*.checkpoint"):
            if _NAME.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
                gone += 1
    if gone:
        notify(f"removed from {shown(folder)}: {gone} checkpoint{'s' * (gone > 1)} older than {_ABANDONED_DAYS} days")


def _pack(checkpoint: Checkpoint) -> bytes:
    stream = io.BytesIO()
    facts = np.frombuffer(json.dumps(checkpoint.facts).encode(), np.uint8)
    arrays: Mapping[str, Any] = {f"array/{name}": array for name, array in checkpoint.arrays.items()}
    np.savez(stream, allow_pickle=False, facts=facts, **arrays)
    return stream.getvalue()


def _unpack(data: bytes) -> Checkpoint:
    """Raises ValueError for anything but a whole checkpoint."""
    start = len(_MAGIC) + _DIGEST_BYTES
    if not data.startswith(_MAGIC):
        raise ValueError("it is no checkpoint of this version")
    if hashlib.sha256(data[start:]).digest() != data[len(_MAGIC) : start]:
        raise ValueError("its checksum is wrong")
    with np.load(io.BytesIO(data[start:]), allow_pickle=False) as stored:
        arrays = {name.removeprefix("array/"): stored[name] for name in stored.files if name != "facts"}
        facts = json.loads(stored["facts"].tobytes())
    return Checkpoint(arrays, facts)
