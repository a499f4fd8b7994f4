"""What the tests of whole conversions share; the bundle that they convert is of ``tiny_bundle``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters import make, source
from converters.options import ConvertOptions

ANY_DROP = 100.0


def both(**options: Any) -> ConvertOptions:
    return ConvertOptions(**{"quantize": ("int8",), "max_accuracy_drop": ANY_DROP} | options)


def content(folder: Path) -> dict[str, bytes]:
    """All files in it, by their paths; none where there is no such folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def count_conversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    for module, name in ((source, "convert_float32"), (make, "quantize_int8")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, real=real, name=name: made.append(name) or real(*a))
    return made
