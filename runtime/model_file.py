"""What a ``.tflite`` file says about itself, read without an interpreter.

:meth:`ModelFile.read` also checks what the interpreter takes on trust and crashes on: indices, shapes and
the sizes of constants; see ``model_reader``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from runtime.errors import ModelError
from runtime.file_kind import contents, describe_bytes, shown

IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of every TFLite file (``file_identifier`` of the schema)."""


class TensorInfo(NamedTuple):
    """An input or output of a model.

    Attributes:
        name: As in the file; often empty or ``"serving_default_input:0"``.
        shape: Dimensions, each 0 or more; ``()`` for a scalar.
        shape_signature: The same with -1 where a dimension may change; equal to ``shape`` when none may.
        dtype: numpy's name, as ``"uint8"``; ``"string"``, ``"int4"`` and the like have no numpy type.
        scales: Quantisation scales, real = (stored - zero_point) * scale; empty when not quantised.
        zero_points: One for each scale, in units of the stored number.
    """

    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()


class OperatorUse(NamedTuple):
    """An operator of a model.

    Attributes:
        name: Schema name (``"CONV_2D"``), or the string that names a custom operator.
        version: 1 or more in sound files.
        count: How often it is used, all subgraphs together; 0 when the file only lists it, which is enough
            for an interpreter without this version to refuse the file.
        custom: Whether it is a custom operator.
    """

    name: str
    version: int
    count: int  # type: ignore[assignment]
    custom: bool = False


@dataclass(frozen=True)
class ModelFile:
    """A ``.tflite`` file whose structure was checked.

    Attributes:
        path: Where it was read.
        size: Bytes, with what is appended.
        schema_version: 3 in every file known.
        description: Free text of the converter, often ``"MLIR Converted."``.
        inputs: Inputs of the first subgraph, at least one.
        outputs: Outputs of the first subgraph, at least one.
        operators: Every (name, version) listed, sorted.
        output_is_probability: Whether output 0 comes out of SOFTMAX or LOGISTIC; None when that cannot be
            told (a custom operator, control flow, no operator at all).
        min_runtime_version: What the converter wrote, for example ``"2.3.0"``, or None.
        metadata_blob: The TFLite Metadata flatbuffer, or None.
        data_end: Byte behind the last of its constants; what is appended to the file begins later.
    """

    path: Path
    size: int
    schema_version: int
    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: tuple[OperatorUse, ...]
    output_is_probability: bool | None
    min_runtime_version: str | None = None
    metadata_blob: bytes | None = field(default=None, repr=False)
    data_end: int = 0

    @classmethod
    def read(cls, path: str | Path) -> ModelFile:
        """Reads and checks a file; its weights are not copied.

        Raises:
            ModelError: No such file, not a TFLite model, or one that is damaged; one line that says which.
        """
        from runtime.model_reader import ModelReader

        path = Path(path)
        with contents(path) as data:
            if data[4:8] != IDENTIFIER:
                what = describe_bytes(path, data[:1024])
                raise ModelError(f"{shown(path)} is not a TensorFlow Lite model {what}")
            try:
                return ModelReader(data).model(path)
            except ModelError as error:
                text = f"{shown(path)} is cut short or damaged: {error}; copy or download it again"
                raise ModelError(text) from error
