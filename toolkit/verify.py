"""``toolkit verify`` as one call: a file against a bundle, or against a folder of pictures."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from converters.against import against_bundle, bundle_of
from converters.floor import floor_python as find_floor_python
from converters.min_runtime import MinRuntime
from converters.verification import Verification
from converters.verify_again import VerifyOptions, check_model_path, verify_again
from runtime.errors import UsageError
from runtime.file_kind import shown
from toolkit.verify_pictures import against_pictures


def _ignore(_message: str) -> None:
    pass


def verify(
    model: Path,
    against: Path,
    *,
    max_accuracy_drop: float | None = None,
    min_runtime: str = "2.14",
    floor_python: Path | None = None,
    notify: Callable[[str], None] = _ignore,
) -> Verification:
    """Repeat every proof of a file.

    Args:
        model: a ``.tflite`` file.
        against: a bundle, its export folder, or a folder of pictures.
        max_accuracy_drop: points that the file may lose; None takes what export.json says, or 2.
        min_runtime: the oldest interpreter that must load it, see ``converters.min_runtime``.
        floor_python: a Python with tflite-runtime; None looks where ``converters.floor`` says.
        notify: is told in one line what happens.

    Raises:
        EdgeExportError: any of its kinds: the file or the folder cannot be used. A proof that fails is none.
    """
    check_model_path(model)
    if not against.is_dir():
        raise UsageError(f"--against {shown(against)}: no such folder; name a bundle or a folder of pictures")
    if max_accuracy_drop is not None and not (math.isfinite(max_accuracy_drop) and 0 <= max_accuracy_drop <= 100):
        raise UsageError(f"--max-accuracy-drop must be 0 to 100 points, not {max_accuracy_drop:g}")
    minimum = MinRuntime.parse(min_runtime)
    floor = find_floor_python(floor_python) if minimum.includes_floor else None
    options = VerifyOptions(max_accuracy_drop, minimum, floor)
    if (bundle := bundle_of(against)) is not None:
        return verify_again(model, against_bundle(bundle, notify), options, notify)
    with tempfile.TemporaryDirectory() as scratch:
        found = against_pictures(against, model, Path(scratch), notify)
        return verify_again(model, found, options, notify)
