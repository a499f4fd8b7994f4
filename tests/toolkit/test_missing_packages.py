"""``toolkit`` where only the device install is: one line that says what to type, never a traceback."""

from __future__ import annotations

import builtins
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.toolkit.pictures import make_classes
from toolkit import cli


def on_device(device_python: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    code = "import sys; from toolkit.cli import main; sys.exit(main())"
    command = [str(device_python), "-I", "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_train_says_which_command_to_run(device_python: Path, tmp_path: Path) -> None:
    make_classes(tmp_path / "photos", {"a": 3, "b": 3})
    done = on_device(device_python, tmp_path, "train", "photos")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("toolkit: error: training needs tensorflow, which is not installed: pip install ")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("words", [("--help",), ("train", "--help"), ("architectures",), ("sample-data", "--help")])
def test_what_works_without(device_python: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    done = on_device(device_python, tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_lite0_is_to_be_installed_there(device_python: Path, tmp_path: Path) -> None:
    lines = on_device(device_python, tmp_path, "architectures").stdout.splitlines()
    (line,) = [line for line in lines if "lite0" in line]
    assert " to install " in line
    assert "to install: pip install 'edge-export-toolkit[train]'" in lines


def test_sample_data_there(device_python: Path, tmp_path: Path) -> None:
    done = on_device(device_python, tmp_path, "sample-data", "shapes", "shapes", "--count", "1")
    assert done.returncode == 0
    assert len(list((tmp_path / "shapes").rglob("*.jpg"))) == 4


@pytest.mark.parametrize("package", ["tqdm", "numpy"])
def test_any_other_package_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    def run(_args: Any) -> int:
        raise ModuleNotFoundError(f"No module named '{package}'", name=f"{package}.part")

    monkeypatch.setattr("toolkit.commands.sample_data.run", run)
    assert cli.main(["sample-data", "shapes", str(tmp_path / "x")]) == 1
    expected = f"toolkit: error: this needs {package}: pip install 'edge-export-toolkit[train]'\n"
    assert capsys.readouterr().err == expected


def test_a_mistake_of_ours_is_not_covered_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(_args: Any) -> int:
        raise ModuleNotFoundError("No module named 'toolkit.gone'", name="toolkit.gone")

    monkeypatch.setattr("toolkit.commands.sample_data.run", run)
    with pytest.raises(builtins.ModuleNotFoundError):
        cli.main(["sample-data", "shapes", str(tmp_path / "x")])
