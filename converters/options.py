"""What a conversion can be told."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from converters.kinds import ALWAYS, CALIBRATED, IN_OUT, KINDS, InOut
from runtime.errors import UsageError


@dataclass(frozen=True)
class ConvertOptions:
    """Everything that ``toolkit convert`` can be told.

    Attributes:
        quantize: kinds to write beside float32, see ``converters.kinds``.
        in_out: what the int8 file takes and gives.
        output_dir: for the files; None takes ``export`` in the bundle.
        max_accuracy_drop: points (per cent) that a file may lose on the test pictures.
        calibration_images: how many of the calibration pictures to use; None takes all.
        force: convert although the files are there and up to date.
    """

    quantize: tuple[str, ...] = ()
    in_out: InOut = "uint8"
    output_dir: Path | None = None
    max_accuracy_drop: float = 2.0
    calibration_images: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        for kind in self.quantize:
            if kind not in KINDS:
                raise UsageError(f"--quantize takes {', '.join(list(KINDS)[1:])} or all, not {kind!r}")
        if self.in_out not in IN_OUT:
            raise UsageError(f"--io takes {', '.join(IN_OUT)}, not {self.in_out!r}")
        if not (math.isfinite(self.max_accuracy_drop) and 0 <= self.max_accuracy_drop <= 100):
            raise UsageError(f"--max-accuracy-drop must be 0 to 100 points, not {self.max_accuracy_drop:g}")
        if self.calibration_images is not None and self.calibration_images < 1:
            raise UsageError(f"--calibration-images must be at least 1, not {self.calibration_images}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The files to write, in this order."""
        return tuple(kind for kind in KINDS if kind == ALWAYS or kind in self.quantize)

    def made_with(self, kind: str) -> dict[str, str | int | None]:
        """The options that decide what a file of this kind holds, for export.json."""
        calibrated: dict[str, str | int | None] = {"calibration_images": self.calibration_images}
        return (calibrated if kind in CALIBRATED else {}) | ({"io": self.in_out} if kind == "int8" else {})


def parse_kinds(words: Iterable[str]) -> tuple[str, ...]:
    """Kinds that words such as ``int8``, ``float16,dynamic`` and ``all`` name.

    Raises:
        UsageError: a word that names none.
    """
    named = [part.strip() for word in words for part in word.split(",") if part.strip()]
    if strange := [name for name in named if name != "all" and name not in KINDS]:
        raise UsageError(f"--quantize takes {', '.join(list(KINDS)[1:])} or all, not {strange[0]!r}")
    return tuple(kind for kind in KINDS if kind in named or "all" in named)
