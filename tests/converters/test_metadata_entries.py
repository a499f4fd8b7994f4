from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.flatbuffer_model import pack_model, unpack_model
from converters.metadata_entries import set_entry, set_min_runtime_version
from runtime.model_file import ModelFile
from runtime.op_versions import required_runtime
from tests.converters import small_nets
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def net() -> Net:
    return small_nets.make("residual")


def rewritten(model: bytes, path: Path) -> ModelFile:
    contents = unpack_model(model)
    set_min_runtime_version(contents)
    path.write_bytes(pack_model(contents))
    return ModelFile.read(path)


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_as_tensorflow_writes_it(net: Net, kind: str, tmp_path: Path) -> None:
    model = getattr(net, kind)
    (tmp_path / "before.tflite").write_bytes(model)
    before = ModelFile.read(tmp_path / "before.tflite").min_runtime_version
    after = rewritten(model, tmp_path / "m.tflite")
    assert after.min_runtime_version == before == required_runtime(after).version
    entries = {entry.name: entry for entry in unpack_model(after.path.read_bytes()).metadata}
    assert len(entries) == len(unpack_model(model).metadata)


def test_it_follows_the_operators(net: Net, tmp_path: Path) -> None:
    contents = unpack_model(net.float32)
    codes = [code for code in contents.operatorCodes if code.builtinCode == 9]  # FULLY_CONNECTED
    codes[0].version = 12
    assert rewritten(pack_model(contents), tmp_path / "m.tflite").min_runtime_version == "2.17.0"


def test_an_operator_newer_than_the_table_leaves_it_alone(net: Net, tmp_path: Path) -> None:
    contents = unpack_model(net.float32)
    set_entry(contents, b"min_runtime_version", np.frombuffer(b"9.9.9", np.uint8))
    contents.operatorCodes[0].version = 99
    assert rewritten(pack_model(contents), tmp_path / "m.tflite").min_runtime_version == "9.9.9"


def test_a_file_without_it_gets_it(net: Net, tmp_path: Path) -> None:
    contents = unpack_model(net.float32)
    contents.metadata = None
    assert rewritten(pack_model(contents), tmp_path / "m.tflite").min_runtime_version == "1.6.0"
