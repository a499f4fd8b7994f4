"""A device gets the runtime and nothing it cannot use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environments

# ai-edge-litert itself asks for all but the first four.
DEVICE = {
    "edge-export-toolkit",
    "numpy",
    "pillow",
    "ai-edge-litert",
    "backports-strenum",
    "flatbuffers",
    "ml-dtypes",
    "protobuf",
    "tqdm",
    "typing-extensions",
}
FLOOR = {"edge-export-toolkit", "numpy", "pillow", "tflite-runtime"}


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run python away from the working tree, whose packages it would otherwise import."""
    command = [str(python), "-I", *arguments]
    return subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=False)


def installed(python: Path) -> set[str]:
    listing = run(python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check")
    names = {entry["name"].lower().replace("_", "-").replace(".", "-") for entry in json.loads(listing.stdout)}
    return names - {"pip", "setuptools"}  # venv's own


def test_device_has_what_it_needs_and_nothing_more(device_python: Path) -> None:
    on_windows = {"colorama"} if sys.platform == "win32" else set()
    assert installed(device_python) == DEVICE | on_windows


def test_floor_has_tflite_runtime_alone(floor_python: Path) -> None:
    assert installed(floor_python) == FLOOR


@pytest.mark.parametrize("environment", ["device_python", "floor_python"])
def test_runtime_is_installed_and_not_the_working_tree(environment: str, request: pytest.FixtureRequest) -> None:
    python: Path = request.getfixturevalue(environment)
    done = run(python, "-c", "import runtime; print(runtime.__file__)")
    assert done.returncode == 0, done.stderr
    assert python.parent.parent in Path(done.stdout.strip()).parents
    assert list(python.parent.glob("runtime*")), "no `runtime` command beside python"


@pytest.mark.parametrize("module", ["tensorflow", "cv2"])
def test_device_has_no_heavy_module(device_python: Path, module: str) -> None:
    done = run(device_python, "-c", f"import {module}")
    assert "ModuleNotFoundError" in done.stderr


def test_the_wheel_holds_the_bundled_weights_and_the_licences(device_python: Path) -> None:
    code = "import importlib.metadata as m; print(*(f.as_posix() for f in m.files('edge-export-toolkit')), sep='\\n')"
    files = run(device_python, "-c", code).stdout.split("\n")
    assert "toolkit/backbones/data/mobilenet_1.00_224.npz" in files
    for name in ("runtime/py.typed", "converters/py.typed", "toolkit/py.typed"):
        assert name in files
    assert {Path(name).name for name in files if "/licenses/" in name} == {"LICENSE", "NOTICE"}


@pytest.fixture
def kept_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Environments in a folder of their own, without pip: what is tested is when it is called."""
    monkeypatch.setattr(environments, "KEPT", tmp_path)
    wheel = tmp_path / "wheels" / "first" / "project.whl"
    wheel.parent.mkdir(parents=True)
    monkeypatch.setattr(environments, "_project_wheel", lambda: wheel)
    monkeypatch.setattr(environments, "_version", lambda python: "3.11")
    return tmp_path


def test_an_environment_is_made_once_and_a_half_made_one_again(
    kept_elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def note(command: list[str]) -> None:
        steps.append("venv" if "venv" in command else command[-1])
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(environments, "run_or_skip", note)
    wheel = str(environments._project_wheel())

    python = environments.make_environment("any", dependencies=["a", "b"])
    assert steps == ["venv", "b", wheel]
    assert environments.make_environment("any", dependencies=["a", "b"]) == python
    assert steps == ["venv", "b", wheel], "nothing changed, yet something was installed"

    changed = kept_elsewhere / "wheels" / "second" / "project.whl"
    monkeypatch.setattr(environments, "_project_wheel", lambda: changed)
    assert environments.make_environment("any", dependencies=["a", "b"]) == python
    assert steps[3:] == [str(changed)], "changed sources replace the project and nothing else"

    (python.parent.parent / "installed-sources").unlink()
    environments.make_environment("any", dependencies=["a", "b"])
    assert steps[4:] == ["venv", "b", str(changed)]

    assert environments.make_environment("any", dependencies=["a"]) != python


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_without_a_connection_only_ci_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    code = "import sys; sys.exit('NewConnectionError: Failed to establish a new connection')"
    with pytest.raises(outcome):
        environments.run_or_skip([sys.executable, "-c", code])


def test_a_broken_build_fails_and_does_not_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.fail.Exception, match="no such option"):
        environments.run_or_skip([sys.executable, "-c", "import sys; sys.exit('no such option')"])
