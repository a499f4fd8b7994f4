"""Reads tensors out of a legacy PyTorch ``.pth`` file without PyTorch, trusting nothing in it.

The format (``torch/serialization.py``, ``_legacy_save``): pickles of a magic number, a protocol version, a
system-info dict and the object itself, whose tensors refer to storages by key; then a pickled list of storage
keys, and for each an int64 element count and the raw little-endian data. A pickle can call any function it
names; this reader lets it name four, all of them its own.
https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import io
import math
import pickle  # noqa: S403 - only through the restricted _Reader below
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.file_kind import shown

# torch/serialization.py: MAGIC_NUMBER and PROTOCOL_VERSION.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_STORAGE_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _Storage:
    """A flat run of elements whose data stands at the end of the file."""

    key: str
    dtype: np.dtype[Any]
    size: int


@dataclass(frozen=True)
class _TensorView:
    """A strided window on a storage: strides are in elements and need not be contiguous."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, flat: NDArray[Any]) -> NDArray[Any]:
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        inside = self.offset >= 0 and min(self.shape, default=1) >= 1 and min(self.strides, default=0) >= 0
        if not inside or last >= len(flat):
            raise ValueError("a tensor reaches outside its storage")
        if math.prod(self.shape) > len(flat):  # a stride of 0 can make terabytes of one number
            raise ValueError("a tensor has more elements than its storage")
        item = flat.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.shape, [s * item for s in self.strides], writeable=False
        )
        return np.ascontiguousarray(view)


class _RebuildTensor:
    """Stands for torch's function; has no attributes, for a pickle may set any it finds."""

    __slots__ = ()

    def __call__(self, storage: _Storage, offset: int, shape: Any, strides: Any, *_unused: Any) -> _TensorView:
        return _TensorView(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _Reader(pickle._Unpickler):
    """An unpickler that knows the names a state_dict needs and refuses every other.

    It is the one written in Python: the C one sizes its memo by a number in the file, up to 64 GB.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")}:
            return _RebuildTensor()
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no weight file needs")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, name, key, _location, size, *_view = pid
        if kind != "storage" or name not in _STORAGE_DTYPES:
            raise pickle.UnpicklingError("it holds an unknown kind of storage")
        return _Storage(str(key), np.dtype(_STORAGE_DTYPES[name]), int(size))


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """Read the named tensors of a legacy ``.pth`` file.

    Args:
        path: the file; all of it is read into memory.

    Returns:
        Tensor name -> contiguous array (float32 or int64), shapes as PyTorch stores them (OIHW for a
        convolution's kernel).

    Raises:
        ModelError: the file is missing, is something else, or asks for anything but tensors.
    """
    try:
        stream = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read the weight file {shown(path)}: {error.strerror}") from error
    try:
        return _read(stream)
    except Exception as error:  # whatever a hostile pickle does to the reader, the user gets one line
        raise ModelError(f"{shown(path)} is not a PyTorch weight file that can be read safely: {error}") from error


def _refuse(what: str) -> NoReturn:
    raise pickle.UnpicklingError(what)


def _read(stream: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _Reader(stream).load() != _MAGIC_NUMBER or _Reader(stream).load() != _PROTOCOL_VERSION:
        _refuse("the magic number is missing")
    _Reader(stream).load()  # byte order and integer sizes of the writing machine
    tensors = _Reader(stream).load()
    keys = _Reader(stream).load()
    if not isinstance(tensors, dict) or not all(isinstance(t, _TensorView) for t in tensors.values()):
        _refuse("it holds something else than named tensors")
    storages = {t.storage.key: t.storage for t in tensors.values()}
    data: dict[str, NDArray[Any]] = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storage = storages[key]
        raw = stream.read(storage.size * storage.dtype.itemsize)
        if count != storage.size or len(raw) != storage.size * storage.dtype.itemsize:
            _refuse("it is cut short")
        data[key] = np.frombuffer(raw, storage.dtype)
    return {str(name): tensor.array(data[tensor.storage.key]) for name, tensor in tensors.items()}
