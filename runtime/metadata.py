"""Reads standard TFLite Metadata, and the labels in the files that go with it.

Field numbers are those of the metadata schema:
https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
Files in the wild break its rules: what cannot be used is told in ``problems`` or ``reason`` for the caller
to decide on, and only damage raises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from runtime.associated_files import associated_files, read_associated_file
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.flatbuffer import Buffer, Table
from runtime.model_file import ModelFile

# Values of the schema's unions and enums.
_CONTENT_IMAGE = 2
_COLOUR_SPACES = {1: "RGB", 2: "GRAYSCALE"}
_UNIT_NORMALIZATION, _UNIT_SCORE_CALIBRATION, _UNIT_SCORE_THRESHOLD = 1, 2, 3
_AXIS_LABELS = 2


@dataclass(frozen=True)
class Normalization:
    """``(pixel - mean) / std`` on pixels in [0, 255]; one value, or one a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class LabelFile:
    """An associated file that names the classes; ``locale`` such as ``"de"`` is empty when not given."""

    name: str
    locale: str


@dataclass(frozen=True)
class ModelMetadata:
    """What a model's TFLite Metadata say; a text that is absent is empty.

    Attributes:
        name: Model name.
        description: Free text.
        version: Version of the model.
        author: Author.
        license: Licence text or name.
        min_parser_version: For example ``"1.0.0"``, or None.
        normalization: Of input 0, or None.
        colour_space: Of input 0: ``"RGB"``, ``"GRAYSCALE"`` or None.
        has_score_calibration: Whether output 0 asks for score calibration.
        score_threshold: Least score of output 0 worth showing, or None.
        label_files: Label files of output 0, in the file's order.
        problems: One line for each thing that breaks the standard and was ignored.
    """

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    min_parser_version: str | None = None
    normalization: Normalization | None = None
    colour_space: str | None = None
    has_score_calibration: bool = False
    score_threshold: float | None = None
    label_files: tuple[LabelFile, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelsFound:
    """Labels read from a model file.

    Attributes:
        labels: Position = class id, verbatim; None when there are none that can be used. The caller compares
            their number with the output's size.
        source: The associated file they come from, or that was refused; None when there is none.
        reason: Why ``labels`` is None, as half a sentence; else None.
    """

    labels: tuple[str, ...] | None
    source: str | None = None
    reason: str | None = None


def read_metadata(model: ModelFile) -> ModelMetadata | None:
    """The TFLite Metadata of a model, or None when it carries none.

    Raises:
        ModelError: The metadata are not the flatbuffer they should be, or damaged.
    """
    blob = model.metadata_blob
    if blob is None:
        return None
    if blob[4:8] != b"M001":
        found = ascii(blob[4:8])[1:]
        raise ModelError(f'{shown(model.path)} has metadata of an unknown kind (expected "M001", found {found})')
    try:
        return _parse(Buffer(blob).root())
    except ModelError as error:
        raise ModelError(f"{shown(model.path)} has damaged metadata: {error}; export it again") from error


def _parse(root: Table) -> ModelMetadata:
    problems: list[str] = []
    subgraphs = root.tables(3)
    if not subgraphs:
        problems.append("the metadata describe no subgraph")
    inputs = subgraphs[0].tables(2) if subgraphs else []
    outputs = subgraphs[0].tables(3) if subgraphs else []
    source = _units(inputs[0]) if inputs else {}
    target = _units(outputs[0]) if outputs else {}
    threshold = target.get(_UNIT_SCORE_THRESHOLD)
    return ModelMetadata(
        name=root.text(0) or "",
        description=root.text(1) or "",
        version=root.text(2) or "",
        author=root.text(4) or "",
        license=root.text(5) or "",
        min_parser_version=root.text(7) or None,
        normalization=_normalization(source.get(_UNIT_NORMALIZATION), problems),
        colour_space=_colour_space(inputs[0]) if inputs else None,
        has_score_calibration=_UNIT_SCORE_CALIBRATION in target,
        score_threshold=None if threshold is None else threshold.real(0),
        label_files=_label_files(outputs[0]) if outputs else (),
        problems=tuple(problems),
    )


def _units(tensor: Table) -> dict[int, Table]:
    """The process units of a tensor by kind; of two of a kind the first counts."""
    units: dict[int, Table] = {}
    for unit in tensor.tables(4):
        options = unit.table(1)
        if options is not None:
            units.setdefault(unit.integer(0, "B"), options)
    return units


def _normalization(options: Table | None, problems: list[str]) -> Normalization | None:
    if options is None:
        return None
    mean, std = options.reals(0), options.reals(1)
    lengths = {len(mean), len(std)}
    sound = all(map(math.isfinite, mean + std)) and 0.0 not in std
    if 0 in lengths or len(lengths - {1}) > 1 or not sound:
        problems.append(f"the normalization mean {list(mean[:4])}, std {list(std[:4])} cannot be applied")
        return None
    return Normalization(mean, std)


def _colour_space(tensor: Table) -> str | None:
    content = tensor.table(3)
    if content is None or content.integer(0, "B") != _CONTENT_IMAGE:
        return None
    image = content.table(1)
    return None if image is None else _COLOUR_SPACES.get(image.integer(0, "b"))


def _label_files(tensor: Table) -> tuple[LabelFile, ...]:
    files = [file for file in tensor.tables(6) if file.integer(2, "b") == _AXIS_LABELS]
    return tuple(LabelFile(file.text(0) or "", file.text(3) or "") for file in files)


def read_labels(model: ModelFile, locale: str | None = None) -> LabelsFound:
    """The class names a model file carries: those its metadata name, else those in its only .txt file.

    Args:
        model: The model.
        locale: For example ``"de"``. Where it is not there, the file without a locale, else the first.

    Raises:
        ModelError: The metadata or the archive are damaged, or the label file is too large.
    """
    metadata = read_metadata(model)
    listed = () if metadata is None else metadata.label_files
    # sorted() keeps the order of equals, so the first file wins where the locale does not decide.
    ranked = sorted(listed, key=lambda file: (file.locale != (locale or ""), file.locale != ""))
    members = associated_files(model.path)
    texts = [name for name in members if name.lower().endswith(".txt")]
    if ranked:
        name = ranked[0].name
        # Some writers list a file under a path and store it under its last part.
        stored = name if name in members else name.rsplit("/", 1)[-1]
    elif len(texts) == 1:
        name = stored = texts[0]
    else:
        return LabelsFound(None, reason=f"no label file is named and the model carries {len(texts)} .txt files")
    data = read_associated_file(model.path, stored)
    if data is None:
        return LabelsFound(None, name, "the metadata name it, but the model does not carry it")
    labels, reason = _decode_labels(data)
    return LabelsFound(labels, name, reason)


def _decode_labels(data: bytes) -> tuple[tuple[str, ...] | None, str | None]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None, "it is not UTF-8 text"
    ends = text.strip()[:1] + text.strip()[-1:]
    if ends in ("{}", "[]"):
        return None, "it holds a Python or JSON literal, not one label a line"
    # Not splitlines(), which also splits at characters that may stand inside a label.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return (tuple(lines), None) if lines else (None, "it is empty")
