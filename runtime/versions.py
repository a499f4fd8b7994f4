"""Versions of installed distributions."""

from __future__ import annotations


def package_version(distribution: str) -> str | None:
    """The installed version, or None where it is not installed (a program run from its sources, say)."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
