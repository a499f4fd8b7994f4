"""Files of the cache that are made once: whatever is done to them, what is read is what was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import DataError
from toolkit.kept_file import kept_file

CONTENT = bytes(range(256)) * 40


def count(path: Path) -> int:
    """How often two calls make the content."""
    made = []

    def make() -> bytes:
        made.append(1)
        return CONTENT

    assert kept_file(path, make) == CONTENT
    assert kept_file(path, make) == CONTENT
    return len(made)


def test_it_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.tflite"
    assert count(path) == 1
    assert count(path) == 0
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("which", ["", ".sha256"])
@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "zeros", "gone"])
def test_damage_is_mended(tmp_path: Path, which: str, damage: str) -> None:
    path = tmp_path / "model.tflite"
    assert count(path) == 1
    file = tmp_path / f"model.tflite{which}"
    data = file.read_bytes()
    flipped = bytes([data[0] ^ 0x81]) + data[1:]
    changed = {"cut": data[: len(data) // 2], "bit": flipped, "empty": b"", "zeros": bytes(len(data)), "gone": None}[
        damage
    ]
    file.unlink() if changed is None else file.write_bytes(changed)
    assert count(path) == 1
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.tflite", "model.tflite.sha256"]


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").mkdir()
    with pytest.raises(DataError, match="cannot write .*model.tflite: Is a directory"):
        kept_file(tmp_path / "model.tflite", lambda: CONTENT)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.tflite"]
