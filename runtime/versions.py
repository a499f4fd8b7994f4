"""Versions of installed distributions."""

from __future__ import annotations

import sys


def package_version(distribution: str) -> str | None:
    """The installed version, or None where it is not installed (a program run from its sources, say)."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def our_version() -> str:
    """Of this program."""
    return package_version("edge-export-toolkit") or "from source"


def how_to_install_interpreter() -> str:
    """The command for this machine: on 32 bits LiteRT has no wheel, and tflite-runtime's last one needs numpy 1."""
    return "pip install ai-edge-litert" if sys.maxsize > 2**32 else "pip install tflite-runtime==2.14.0 'numpy<2'"
