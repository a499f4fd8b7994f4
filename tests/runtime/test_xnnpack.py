from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from ai_edge_litert import interpreter

from runtime.classifier import Classifier
from runtime.errors import ModelError
from runtime.xnnpack import eight_bit_delegate


def test_litert_needs_no_help(colours: Path) -> None:
    assert eight_bit_delegate(interpreter, 1) is None
    red = np.full((9, 9, 3), (255, 0, 0), np.uint8)
    for xnnpack in ("on", "off"):
        assert Classifier.load(colours, xnnpack=xnnpack).classify(red).labels == ("red",)  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["2.13.0", "2.14.0"])
def test_a_build_without_it_says_so(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the wheel for 32-bit Arm, whose library does not show these functions."""
    package, module, wrapper = ModuleType("tflite_runtime"), ModuleType("tflite_runtime.interpreter"), ModuleType("w")
    package.__version__ = version  # type: ignore[attr-defined]
    wrapper.__file__ = None  # the program itself, which has no such function
    module._interpreter_wrapper = wrapper  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tflite_runtime", package)
    with pytest.raises(
        ModelError, match=rf"--xnnpack on: this tflite-runtime \({version}, .*\) has no XNNPACK for 8-bit"
    ):
        eight_bit_delegate(module, 1)
