"""What a conversion can be told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters.inputs.hints import Hints
from converters.kinds import ALWAYS, CALIBRATED, FORMATS, IN_OUT, KINDS, MIXED, OF_INT8, InOut
from converters.metadata_text import MetadataText
from converters.min_runtime import DEFAULT_MIN_RUNTIME, MinRuntime
from runtime.errors import UsageError

# The bundle holds a few hundred pictures to learn from: more epochs learn these by heart.
_MOST_EPOCHS = 100


@dataclass(frozen=True)
class ConvertOptions:
    """Everything that ``toolkit convert`` can be told.

    Attributes:
        quantize: kinds to write beside float32, see ``converters.kinds``.
        formats: other formats to write, see ``converters.kinds``.
        in_out: what the int8 file takes and gives.
        output_dir: for the files; None takes ``export`` in the bundle.
        max_accuracy_drop: points (per cent) that a file may lose on the test pictures.
        calibration_images: how many pictures to quantise with; None takes all of the bundle's.
        calibration_dir: pictures for a model that brings none.
        hints: what the user says of a stranger's model.
        min_runtime: the oldest interpreter that must load the files.
        floor_python: a Python with tflite-runtime, see ``converters.floor``.
        text: the user's texts in the metadata.
        translations: locale -> file with the labels in that language.
        qat: epochs of finetuning that are tried last when int8 loses too much; 0 for none.
        explain: also say, and draw, what each layer of the integer files loses.
        force: convert although the files are there and up to date.
    """

    quantize: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    in_out: InOut = "uint8"
    output_dir: Path | None = None
    max_accuracy_drop: float = 2.0
    calibration_images: int | None = None
    calibration_dir: Path | None = None
    hints: Hints = field(default_factory=Hints)
    min_runtime: MinRuntime = DEFAULT_MIN_RUNTIME
    floor_python: Path | None = None
    text: MetadataText = field(default_factory=MetadataText)
    translations: Mapping[str, Path] = field(default_factory=dict)
    qat: int = 0
    explain: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        _check_words("--quantize", self.quantize, KINDS)
        _check_words("--formats", self.formats, FORMATS)
        if self.in_out not in IN_OUT:
            raise UsageError(f"--io takes {', '.join(IN_OUT)}, not {self.in_out!r}")
        if not (math.isfinite(self.max_accuracy_drop) and 0 <= self.max_accuracy_drop <= 100):
            raise UsageError(f"--max-accuracy-drop must be 0 to 100 points, not {self.max_accuracy_drop:g}")
        if self.calibration_images is not None and self.calibration_images < 1:
            raise UsageError(f"--calibration-images must be at least 1, not {self.calibration_images}")

        if not 0 <= self.qat <= _MOST_EPOCHS:
            raise UsageError(f"--qat takes 1 to {_MOST_EPOCHS} epochs, not {self.qat}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The ``.tflite`` files to write, in this order."""
        wanted = {ALWAYS, *self.quantize} | ({"int8"} if OF_INT8 & set(self.formats) else set())
        return tuple(kind for kind in KINDS if kind in wanted)

    @property
    def calibrated(self) -> tuple[str, ...]:
        """The kinds that pictures are needed for."""
        return tuple(kind for kind in self.kinds if kind in CALIBRATED)

    def made_with(self, kind: str) -> dict[str, Any]:
        """The options that decide what a file of this kind or format holds, and whether it passes, for export.json."""
        texts = {name: value for name, value in asdict(self.text).items() if value is not None}
        made: dict[str, Any] = {"min_runtime": str(self.min_runtime)}
        if texts:
            made["text"] = texts
        if kind in CALIBRATED or kind in OF_INT8 or kind == MIXED:
            made["calibration_images"] = self.calibration_images
        if kind in ("int8", MIXED) or kind in OF_INT8:
            made["io"] = self.in_out
            made["qat"] = self.qat
        return made


def parse_kinds(words: Iterable[str]) -> tuple[str, ...]:
    """Kinds that words such as ``int8``, ``float16,dynamic`` and ``all`` name.

    Raises:
        UsageError: a word that names none.
    """
    named = _split(words)
    return tuple(KINDS) if "all" in named else _check_words("--quantize", named, KINDS)


def parse_formats(words: Iterable[str]) -> tuple[str, ...]:
    """Formats that words such as ``pb,saved_model`` name; kinds of ``.tflite`` belong to ``--quantize``.

    Raises:
        UsageError: a word that names none.
    """
    named = tuple(word.replace("-model", "_model").replace("c_array", "c-array") for word in _split(words))
    return _check_words("--formats", named, FORMATS)


def _split(words: Iterable[str]) -> tuple[str, ...]:
    parts = (part.strip().lower() for word in words for part in word.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _check_words(option: str, words: tuple[str, ...], known: Mapping[str, str]) -> tuple[str, ...]:
    for word in words:
        if word not in known:
            names = [name for name in known if name != ALWAYS] + (["all"] if known is KINDS else [])
            raise UsageError(f"{option} takes {', '.join(names[:-1])} or {names[-1]}, not {word!r}")
    return words
