from __future__ import annotations

import os

import pytest

from runtime.errors import ModelError
from runtime.quiet import quiet_stderr


def test_what_native_code_says_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"INFO: chatter\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_shown_when_something_unforeseen_happens(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="why"), quiet_stderr():
        os.write(2, b"ERROR: reason\n")
        raise ValueError("why")
    assert capfd.readouterr().err == "ERROR: reason\n"


def test_errors_of_ours_stand_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError), quiet_stderr():
        os.write(2, b"ERROR: reason\n")
        raise ModelError("reason")
    assert capfd.readouterr().err == ""
