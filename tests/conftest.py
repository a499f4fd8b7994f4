"""Fixtures that all tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.bundles import flower_model, shapes, small_bundle  # noqa: F401 - fixtures
from tests.environments import LOCK_FILE, make_environment, python_for_tflite_runtime

ROOT = Path(__file__).resolve().parent.parent

# Tests that run in the background or after `nohup` have these ignored, and so would the processes that they start.
for _name in ("SIGINT", "SIGHUP"):
    if signal.getsignal(_number := getattr(signal, _name, signal.SIGINT)) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
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


@pytest.fixture(scope="session")
def device_python() -> Path:
    """Python of an environment with what ``pip install .`` gives: no TensorFlow, no OpenCV."""
    return make_environment("device", dependencies=None, constraints=LOCK_FILE)


@pytest.fixture(scope="session")
def floor_python() -> Path:
    """Python of an environment with the oldest interpreter we support in place of LiteRT."""
    requirements = ["tflite-runtime==2.14.0", "numpy<2", "pillow"]
    return make_environment("floor", dependencies=requirements, python=python_for_tflite_runtime())
