"""Proves each file of a conversion before it is handed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.gate import refusal
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.reference import Reference
from converters.verify import ExportResult, verify_file
from runtime.errors import ModelError, counted
from runtime.spec import ModelSpec

# What Windows and shells do not take in a file's name.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]+')
# Bytes of a file's name before its ending; file systems take 255 in all.
_LONGEST_NAME = 200
_ADVICE = (
    "; try more calibration pictures (toolkit train --calibration-images 500), another architecture "
    "(EfficientNet-Lite is made for int8), the float32 file, or allow it with --max-accuracy-drop"
)


class RejectedError(ModelError):
    """A file that loses too much; ``result`` has its figures."""

    def __init__(self, message: str, result: ExportResult) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Prover:
    """What the files of one conversion are proved with.

    Attributes:
        spec: of the model.
        reference: the answers of the model as it came.
        options: of the conversion.
        floor_python: a Python with tflite-runtime; None where there is none.
        translations: locale -> labels in that language.
        scratch: where files lie until they are handed over.
        notify: is told in one line what happens.
    """

    spec: ModelSpec
    reference: Reference
    options: ConvertOptions
    floor_python: Path | None
    translations: Mapping[str, tuple[str, ...]]
    scratch: Path
    notify: Callable[[str], None]

    def file(self, kind: str, content: bytes) -> Path:
        """Write a file with metadata, to be proved."""
        path = self.scratch / f"{file_stem(self.spec)}_{kind}.tflite"
        path.write_bytes(add_metadata(content, self.spec, self.options.text, self.translations))
        return path

    def measure(self, kind: str, content: bytes, in_out: str | None = None) -> ExportResult:
        """Add metadata, look through the file, run it, compare; what it loses is the caller's to judge.

        Args:
            kind: of the file.
            content: of the file, without metadata.
            in_out: what it must take and give; None takes what it does.

        Raises:
            ModelError: it does not run, is not what its kind says, or is too new for the oldest runtime asked for.
        """
        path = self.file(kind, content)
        self.notify(f"Checking {path.name} on {counted(len(self.reference.scores), 'picture')}")
        oldest = self.options.min_runtime
        return verify_file(
            path,
            kind,
            self.reference,
            floor_python=self.floor_python if oldest.includes_floor else None,
            io=in_out,
            minimum=oldest,
        )

    def judge(self, result: ExportResult) -> ExportResult:
        """Give back a file that may be handed over.

        Raises:
            RejectedError: it loses too much.
        """
        if refused := refusal_with_advice(result, self.options.max_accuracy_drop):
            raise RejectedError(refused, result)
        return result

    def prove(self, kind: str, content: bytes, in_out: str | None = None) -> ExportResult:
        """Measure and judge."""
        return self.judge(self.measure(kind, content, in_out))


def file_stem(spec: ModelSpec) -> str:
    """A name that every file system takes and that leads into no other folder, whatever the model says."""
    plain = _UNSAFE.sub("_", spec.name).strip(". ") or "model"
    return plain.encode(errors="replace")[:_LONGEST_NAME].decode(errors="ignore")


def refusal_with_advice(result: ExportResult, limit: float) -> str | None:
    """Why a file is not kept, and what helps; None where it is."""
    refused = refusal(result.path.name, result, limit)
    return refused + _ADVICE if refused and result.kind == "int8" else refused
