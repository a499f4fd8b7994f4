"""The environments that a device has, as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.environments import LOCK_FILE, make_environment, python_for_tflite_runtime


@pytest.fixture(scope="session")
def device_python() -> Path:
    """Python of an environment with what ``pip install .`` gives: no TensorFlow, no OpenCV."""
    return make_environment("device", dependencies=None, constraints=LOCK_FILE)


@pytest.fixture(scope="session")
def floor_python() -> Path:
    """Python of an environment with the oldest interpreter we support in place of LiteRT."""
    requirements = ["tflite-runtime==2.14.0", "numpy<2", "pillow"]
    return make_environment("floor", dependencies=requirements, python=python_for_tflite_runtime())
