"""toolkit.feature_cache: whole vectors or none, whatever happens to the file."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import DataError
from tests.toolkit.users import without_rights
from toolkit.feature_cache import FeatureCache

SPACE, OTHER = "0a" * 32, "0b" * 32


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def vectors(*numbers: int) -> dict[str, np.ndarray]:
    return {key(number): np.array([number, number / 3], np.float32) for number in numbers}


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, vectors(1, 2))
        cache.put(OTHER, {key(1): np.array([9.0], np.float32)})
    with FeatureCache(path) as cache:
        found = cache.get(SPACE, [key(1), key(2), key(3)])
        assert set(found) == {key(1), key(2)}
        assert found[key(2)].dtype == np.float32
        assert found[key(2)].tolist() == vectors(2)[key(2)].tolist()
        assert cache.get(OTHER, [key(1)])[key(1)].tolist() == [9.0]
        assert cache.get(SPACE, []) == {}


def test_more_keys_than_one_query_takes(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "features.sqlite") as cache:
        cache.put(SPACE, vectors(*range(1001)))
        assert len(cache.get(SPACE, [key(n) for n in range(1500)])) == 1001


def test_what_is_there_stays(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "features.sqlite") as cache:
        cache.put(SPACE, vectors(1))
        cache.put(SPACE, {key(1): np.array([7.0, 7.0], np.float32)})
        assert cache.get(SPACE, [key(1)])[key(1)].tolist() == vectors(1)[key(1)].tolist()


@pytest.mark.parametrize("content", [b"not a database at all, but longer than its header is", b"\x00" * 5000])
def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "features.sqlite"
    path.write_bytes(content)
    said: list[str] = []
    with FeatureCache(path, said.append) as cache:
        cache.put(SPACE, vectors(1))
        assert len(cache.get(SPACE, [key(1)])) == 1
    assert (tmp_path / "features.damaged").read_bytes() == content
    (line,) = said
    assert f"the cache {path} is damaged; it is now features.damaged" in line


def test_damage_inside_is_found_when_reading(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, {key(n): np.full(1024, n, np.float32) for n in range(200)})
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with FeatureCache(path) as cache:
        assert cache.get(SPACE, [key(n) for n in range(200)]) == {}
        cache.put(SPACE, vectors(1))
    with FeatureCache(path) as cache:
        assert set(cache.get(SPACE, [key(1)])) == {key(1)}
    assert (tmp_path / "features.damaged").exists()


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, {key(n): np.full(1024, n, np.float32) for n in range(200)})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 3)
    with FeatureCache(path) as cache:
        cache.get(SPACE, [key(n) for n in range(200)])
        cache.put(SPACE, vectors(300))
        assert set(cache.get(SPACE, [key(300)])) == {key(300)}


def test_a_changed_bit_in_a_vector_is_found(tmp_path: Path) -> None:
    """SQLite itself does not notice: it has no checksums."""
    path = tmp_path / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, {key(n): np.full(1024, n, np.float32) for n in range(1, 50)})
    part = np.full(64, 7, np.float32).tobytes()
    data = path.read_bytes()
    assert part in data
    # Wherever it stands: pages keep what was moved out of them.
    path.write_bytes(data.replace(part, part[:33] + bytes([part[33] ^ 1]) + part[34:]))
    said: list[str] = []
    with FeatureCache(path, said.append) as cache:
        found = cache.get(SPACE, [key(n) for n in range(1, 50)])
        assert key(7) not in found
        assert len(found) == 48
        cache.put(SPACE, vectors(7))
    assert said == [f"warning: the cache {path} is damaged in places; what was there is computed anew"]
    said.clear()
    with FeatureCache(path, said.append) as cache:
        assert cache.get(SPACE, [key(7)])[key(7)].tolist() == vectors(7)[key(7)].tolist()
    assert said == []


def test_any_damage_gives_right_vectors_or_none(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    stored = {key(n): np.full(256, n, np.float32) for n in range(100)}
    with FeatureCache(path) as cache:
        cache.put(SPACE, stored)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 400)):
            data[place] = random.integers(256)
        path.write_bytes(data[: random.integers(1, len(data))] if random.random() < 0.3 else data)
        try:
            with FeatureCache(path) as cache:
                assert all((v == stored[k]).all() for k, v in cache.get(SPACE, stored).items())
                cache.put(SPACE, stored)
                assert all((v == stored[k]).all() for k, v in cache.get(SPACE, stored).items())
        except DataError as error:
            assert "cannot use the feature cache" in str(error)


def test_another_run_was_quicker_to_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, {key(n): np.full(1024, n, np.float32) for n in range(200)})
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with FeatureCache(path) as slow:
        with FeatureCache(path) as quick:
            assert quick.get(SPACE, [key(1)]) == {}
            quick.put(SPACE, vectors(1))
        assert slow.get(SPACE, [key(1)]) == {}, "it still sees the damaged file"
        assert set(slow.get(SPACE, [key(1)])) == {key(1)}, "what the quicker one stored is not moved aside"


def test_an_empty_file_is_a_new_cache(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    path.write_bytes(b"")
    with FeatureCache(path) as cache:
        assert cache.get(SPACE, [key(1)]) == {}
    assert [entry.name for entry in tmp_path.iterdir()] == ["features.sqlite"]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot use the feature cache .*; name another folder with --cache-dir$"):
        FeatureCache(tmp_path / "file" / "features.sqlite")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(open_folder)
    Path("closed").mkdir(mode=0o555)
    with FeatureCache(Path("full", "features.sqlite")) as cache:
        cache.put(SPACE, vectors(1))
    for path in (Path("full", "features.sqlite"), Path("full")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with without_rights():
            for folder in ("closed", "closed/new"):
                with pytest.raises(DataError, match="cannot use the feature cache") as caught:
                    FeatureCache(Path(folder, "features.sqlite"))
                assert len(str(caught.value).splitlines()) == 1
            with FeatureCache(Path("full", "features.sqlite")) as cache:
                assert len(cache.get(SPACE, [key(1)])) == 1, "reading needs no right to write"
                with pytest.raises(DataError, match="readonly"):
                    cache.put(SPACE, vectors(2))
    finally:
        Path("full").chmod(0o755)


def test_a_locked_file_is_not_taken_for_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.feature_cache._LOCK_TIMEOUT", 0.1)
    path = tmp_path / "features.sqlite"
    with FeatureCache(path) as cache:
        cache.put(SPACE, vectors(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match="locked"):
            cache.put(SPACE, vectors(2))
        other.execute("ROLLBACK")
        other.close()
        assert len(cache.get(SPACE, [key(1)])) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["features.sqlite"]


def _write(path: Path, first: int) -> None:
    with FeatureCache(path) as cache:
        for number in range(first, first + 60, 3):
            cache.put(SPACE, vectors(number, number + 1, number + 2))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, first)) for first in (0, 30, 60)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with FeatureCache(path) as cache:
        assert len(cache.get(SPACE, [key(n) for n in range(200)])) == 120
