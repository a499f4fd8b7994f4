from __future__ import annotations

import sys
from pathlib import Path

import pytest

from converters.floor import VARIABLE, floor_python, usual_place
from runtime.errors import UsageError


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_none_is_no_error() -> None:
    assert floor_python() is None


def test_a_broken_one_in_the_usual_place_is_left_alone() -> None:
    script(usual_place(), "exit 1")
    assert floor_python() is None


def test_what_is_named_must_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="^--floor-python .*nothing: no such file; it needs python -m pip install tfl"):
        floor_python(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"python: it has no tflite-runtime \(oh dear\); it needs"):
        floor_python(script(tmp_path / "bin" / "python", "echo oh dear >&2; exit 1"))
    with pytest.raises(UsageError, match="it does not run"):
        plain = tmp_path / "plain"
        plain.write_text("no program")
        floor_python(plain)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=f"^{VARIABLE} .*gone: no such file"):
        floor_python()


def test_litert_alone_is_not_the_floor() -> None:
    with pytest.raises(UsageError, match="it has no tflite-runtime"):
        floor_python(Path(sys.executable))


def test_the_real_one(floor_python_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment's Python is a link that must not be followed."""
    assert floor_python(floor_python_path) == floor_python_path
    monkeypatch.chdir(floor_python_path.parent)
    assert floor_python(Path(floor_python_path.name)) == floor_python_path
    monkeypatch.setenv(VARIABLE, str(floor_python_path))
    assert floor_python() == floor_python_path
    monkeypatch.delenv(VARIABLE)
    usual_place().parent.mkdir(parents=True)
    environment, usual = floor_python_path.parent.parent, usual_place().parent.parent
    for name in ("pyvenv.cfg", "lib"):
        (usual / name).symlink_to(environment / name)
    usual_place().symlink_to(floor_python_path.resolve())
    assert floor_python() == usual_place()


@pytest.fixture
def floor_python_path(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue("floor_python"))
