"""A pytest plugin: what is left out in an emulated userland, and why. Every test of it is listed as skipped.

``test.sh`` loads it with ``-p``. Tests that need a package or a program say so themselves.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from typing import Any

import pytest

# Part of a test's id -> the reason.
_BY_NAME = {
    "test_browser.py::": "the browser would be the host's",
    "test_child.py::test_deaths[SIGSEGV": "qemu writes a line of its own when a process crashes",
    "test_child.py::test_deaths[SIGABRT": "qemu writes a line of its own when a process crashes",
    "test_guard.py::test_a_crash_at_a_picture_names_it": "qemu writes a line of its own when a process crashes",
    "test_fuzz.py::test_damaged_models_and_pictures": "qemu's translated code grows where memory must not",
    "test_child.py::test_deaths[hang": "an emulated process does not start within its two seconds",
}
# A fixture -> the reason.
_BY_FIXTURE = {"library": "the delegate would be compiled for the host's processor"}
# What `runtime` says -> what is not here: windows would need Qt in the userland, and PyPI has no OpenCV for 32 bits.
_BY_ERROR = {"this OpenCV was made without windows": "this OpenCV has no windows"}
if find_spec("cv2") is None:
    _BY_ERROR["needs OpenCV, which is not installed"] = "OpenCV is not installed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is left out."""
    for item in items:
        reasons = [reason for name, reason in _BY_NAME.items() if name in item.nodeid]
        reasons += [reason for name, reason in _BY_FIXTURE.items() if name in getattr(item, "fixturenames", ())]
        for reason in reasons[:1]:
            item.add_marker(pytest.mark.skip(reason=f"emulated: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test that fails because the command asks for what is not here is a skipped one."""
    report = yield
    # Of the traceback the error's own lines: the others are source code, in which all messages stand.
    said = [line for line in report.longreprtext.splitlines() if line.startswith("E ")] if report.failed else []
    said += [report.capstderr] if report.failed else []
    reason = next((reason for error, reason in _BY_ERROR.items() if error in "\n".join(said)), None)
    if reason is not None:
        path, line, _ = item.location
        report.outcome, report.longrepr = "skipped", (path, (line or 0) + 1, f"emulated: {reason}")
    return report
