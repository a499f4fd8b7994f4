"""Refuses Keras files that unpack to more than they can hold, or reach into other files, before they are loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from runtime.errors import ModelError
from runtime.file_kind import shown

# Weights hardly shrink, so a sound file unpacks to about its own size; its JSON shrinks more but is small.
_MOST_TIMES, _FREE_BYTES = 8, 64 << 20


def check_zip(path: Path) -> None:
    """Look at the directory of a ``.keras`` file.

    Raises:
        ModelError: it has none, or unpacks to too much.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except zipfile.BadZipFile as error:  # of which Keras says that it cannot find it
        raise ModelError(
            f"{shown(path)} is damaged or cut short ({error}): a .keras file is a zip archive; copy it again"
        ) from error
    except (OSError, ValueError):
        return
    _check_size(path, size)


def check_hdf5(path: Path) -> None:
    """Look at all that an ``.h5`` file names.

    Raises:
        ModelError: it is damaged or cut short; its arrays are larger than they can be, or lie in other files.
    """
    import h5py

    found: list[Any] = []
    try:
        with h5py.File(path, "r") as file:
            _look(h5py, file, found)
            file.visititems(lambda _name, item: _look(h5py, item, found))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{shown(path)} is damaged or cut short: its HDF5 cannot be read; copy it again") from error
    if any(item is None for item in found):
        raise ModelError(f"{shown(path)} points to data in other files, which are not read; save the model anew")
    _check_size(path, sum(found))


def _look(h5py: Any, item: Any, found: list[Any]) -> None:
    """Note the bytes of an array, and None for what lies elsewhere."""
    if isinstance(item, h5py.Dataset):
        found.append(None if item.external or item.is_virtual else int(item.size or 0) * item.dtype.itemsize)
        return
    links = (item.get(name, getlink=True) for name in item)
    found.extend(None for link in links if isinstance(link, h5py.ExternalLink))


def _check_size(path: Path, size: int) -> None:
    stored = path.stat().st_size
    if size > _MOST_TIMES * stored + _FREE_BYTES:
        raise ModelError(
            f"{shown(path)} has {stored / 1e6:.1f} MB and unpacks to {size / 1e6:.0f} MB, which no model does; refused"
        )
