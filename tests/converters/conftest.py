"""Fixtures of several tests of the converters."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.convert import Conversion, convert
from tests.converters.conversions import both


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network that is quick to convert. Copy it."""
    pytest.importorskip("tensorflow")
    from tests.converters import tiny_bundle

    return tiny_bundle.write(tmp_path_factory.mktemp("tiny-bundle") / "model")


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "model"))


@pytest.fixture(scope="session")
def converted_once(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    return convert(Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("converted") / "model")), both())


@pytest.fixture
def converted(converted_once: Conversion, tmp_path: Path) -> Path:
    """A bundle with both files."""
    return Path(shutil.copytree(converted_once.folder.parent, tmp_path / "converted"))
