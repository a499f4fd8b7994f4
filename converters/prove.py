"""Proves each file of a conversion before it is handed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from converters.gate import is_accepted, remark
from converters.metadata import add_metadata
from converters.options import ConvertOptions
from converters.reference import Reference
from converters.verify import ExportResult, verify_file
from runtime.errors import ModelError
from runtime.spec import ModelSpec

# What Windows and shells do not take in a file's name.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f]+')
# Bytes of a file's name before its ending; file systems take 255 in all.
_LONGEST_NAME = 200


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

    def prove(self, kind: str, content: bytes, in_out: str | None = None) -> ExportResult:
        """Add metadata, look through the file, run it, compare.

        Args:
            kind: of the file.
            content: of the file, without metadata.
            in_out: what it must take and give; None takes what it does.

        Raises:
            RejectedError: it loses too much.
            ModelError: it does not run, is not what its kind says, or is too new for the oldest runtime asked for.
        """
        path = self.file(kind, content)
        self.notify(f"Checking {path.name} on {len(self.reference.scores)} pictures")
        oldest = self.options.min_runtime
        result = verify_file(
            path,
            kind,
            self.reference,
            floor_python=self.floor_python if oldest.includes_floor else None,
            io=in_out,
            minimum=oldest,
        )
        if not is_accepted(result.accuracy_drop, self.options, result.paired):
            raise RejectedError(_advice(result, self.options), result)
        if said := remark(path.name, result, self.options):
            self.notify(said)
        return result


def file_stem(spec: ModelSpec) -> str:
    """A name that every file system takes and that leads into no other folder, whatever the model says."""
    plain = _UNSAFE.sub("_", spec.name).strip(". ") or "model"
    return plain.encode(errors="replace")[:_LONGEST_NAME].decode(errors="ignore")


def _advice(result: ExportResult, options: ConvertOptions) -> str:
    text = (
        f"{result.path.name} loses {result.accuracy_drop:.1f} points on the {result.accuracy.images} test pictures, "
        f"more than the {options.max_accuracy_drop:g} allowed, and was not kept"
    )
    if result.kind == "int8":
        text += (
            "; try more calibration pictures (toolkit train --calibration-images 500), another architecture "
            "(EfficientNet-Lite is made for int8), the float32 file, or allow it with --max-accuracy-drop"
        )
    return text
