"""Checkpoints: what is saved comes back, damage is noticed, the one before is used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import DataError
from toolkit.checkpoint import Checkpoint, CheckpointStore, remove_abandoned

RUN = "0123456789abcdef" * 4


def state(number: int) -> Checkpoint:
    arrays = {"live/block0/kernel": np.full((3, 4), number, np.float32), "count": np.array(number)}
    return Checkpoint(arrays, {"epoch": number, "curves": [{"loss": 0.1 * number}]})


def same(left: Checkpoint | None, right: Checkpoint) -> bool:
    assert left is not None
    arrays = left.arrays.keys() == right.arrays.keys()
    return arrays and left.facts == right.facts and all((left.arrays[n] == a).all() for n, a in right.arrays.items())


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", RUN)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "checkpoints").iterdir())


def test_the_newest_comes_back_and_two_are_kept(store: CheckpointStore, tmp_path: Path) -> None:
    assert store.load() == (None, [])
    for number in range(1, 5):
        store.save(state(number))
    found, said = store.load()
    assert same(found, state(4))
    assert said == []
    assert len(files(tmp_path)) == 2


def test_those_that_nobody_goes_on_with_are_removed_after_a_month(store: CheckpointStore, tmp_path: Path) -> None:
    said: list[str] = []
    remove_abandoned(tmp_path / "checkpoints", said.append)
    for number in (1, 2):
        store.save(state(number))
    old, young = files(tmp_path)
    mine = tmp_path / "checkpoints" / "mine.checkpoint"
    mine.write_text("of somebody else")
    for path, days in ((old, 30.1), (young, 29.9), (mine, 300)):
        os.utime(path, (time.time() - days * 86400,) * 2)
    remove_abandoned(tmp_path / "checkpoints", said.append)
    assert files(tmp_path) == [young, mine]
    assert said == [f"removed from {tmp_path / 'checkpoints'}: 1 checkpoint older than 30 days"]
    assert same(store.load()[0], state(2))


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_damaged_one_is_told_and_the_one_before_is_used(store: CheckpointStore, tmp_path: Path, damage: str) -> None:
    store.save(state(1))
    store.save(state(2))
    newest = files(tmp_path)[-1]
    data = newest.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    newest.write_bytes({"cut": data[:-7], "bit": flipped, "empty": b"", "other": b"PK\3\4" + data[4:]}[damage])
    found, said = store.load()
    assert same(found, state(1))
    (line,) = said
    assert newest.name in line
    assert "damaged" in line
    store.save(state(3))
    assert same(store.load()[0], state(3))


def test_both_damaged_begins_anew(store: CheckpointStore, tmp_path: Path) -> None:
    store.save(state(1))
    store.save(state(2))
    for path in files(tmp_path):
        path.write_bytes(path.read_bytes()[:40])
    found, said = store.load()
    assert found is None
    assert len(said) == 2
    assert files(tmp_path) == []


def test_another_runs_checkpoints_are_not_found_and_stay(store: CheckpointStore, tmp_path: Path) -> None:
    other = CheckpointStore(tmp_path / "checkpoints", "f" * 64)
    store.save(state(1))
    assert other.load() == (None, [])
    other.save(state(9))
    store.remove()
    assert store.load() == (None, [])
    assert same(other.load()[0], state(9))
    other.remove()
    assert not (tmp_path / "checkpoints").exists()
    other.remove()  # nothing there: nothing to do


def test_what_a_killed_write_left_is_no_checkpoint(store: CheckpointStore, tmp_path: Path) -> None:
    store.save(state(1))
    (tmp_path / "checkpoints" / f".{RUN[:32]}-000002.checkpoint.edge-export-file-0123abcd").write_bytes(b"half")
    assert same(store.load()[0], state(1))
    store.remove()
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DataError, match="cannot write"):
        CheckpointStore(tmp_path / "locked" / "checkpoints", RUN).save(state(1))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("no folder")
    store = CheckpointStore(tmp_path / "checkpoints", RUN)
    with pytest.raises(DataError, match="checkpoint folder"):
        store.load()
    with pytest.raises(DataError):
        store.save(state(1))
