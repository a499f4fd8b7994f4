"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def shared_path(relative: str) -> Path:
    """A file or folder of the shared data; the test skips where it is missing."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


@pytest.fixture(scope="session")
def flowers() -> Path:
    return shared_path("data/flowers")


@pytest.fixture(scope="session")
def thirdparty() -> Path:
    return shared_path("thirdparty")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    return shared_path("models")
