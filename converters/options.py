"""What a conversion can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError


@dataclass(frozen=True)
class ConvertOptions:
    """Everything that ``toolkit convert`` can be told.

    Attributes:
        quantize: also write a full-integer int8 file.
        output_dir: for the files; None takes ``export`` in the bundle.
        max_accuracy_drop: points (per cent) that a file may lose on the test pictures.
        force: convert although the files are there and up to date.
    """

    quantize: bool = False
    output_dir: Path | None = None
    max_accuracy_drop: float = 2.0
    force: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_accuracy_drop) and 0 <= self.max_accuracy_drop <= 100):
            raise UsageError(f"--max-accuracy-drop must be 0 to 100 points, not {self.max_accuracy_drop:g}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The files to write, in this order."""
        return ("float32", "int8") if self.quantize else ("float32",)
