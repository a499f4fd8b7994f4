"""Which packages, in which version, a report's answers come from."""

from __future__ import annotations

import platform

import numpy as np

from runtime.interpreter import interpreter_name
from runtime.versions import our_version, package_version


def versions() -> dict[str, str]:
    """What an answer depends on beside the model: package -> version."""
    interpreter, _, version = interpreter_name().partition(" ")
    found = {
        "edge-export-toolkit": our_version(),
        interpreter: version,
        "numpy": np.__version__,
        "pillow": package_version("pillow") or "",
        "Python": platform.python_version(),
    }
    return {name: value for name, value in found.items() if value}
