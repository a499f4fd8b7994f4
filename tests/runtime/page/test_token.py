from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.errors import DataError, UsageError
from runtime.page.token import kept_token, new_token


def test_no_two_tokens_are_alike() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 22 for token in tokens)


def test_a_file_is_made_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token, new = kept_token(path)
    assert new
    assert path.read_text() == token + "\n"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    assert kept_token(path) == (token, False)


@pytest.mark.parametrize("content", [b"", b"short", b"two words that are long enough", b"x" * 257, b"\xff" * 20])
def test_what_is_no_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="must hold one word of 16 to 256 letters"):
        kept_token(path)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        kept_token(tmp_path / "no" / "folder")
    with pytest.raises(DataError, match="is a folder"):
        kept_token(tmp_path)
