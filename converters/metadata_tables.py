"""TFLite Metadata as tables of numbered fields: how they become a flatbuffer, and which reader they need.

Field numbers, enums and versions are those of the metadata schema:
https://github.com/google-ai-edge/mediapipe/blob/master/mediapipe/tasks/metadata/metadata_schema.fbs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: A table: field number -> text, float, int (a byte), ``UInt32``, table, or list of tables or of floats; None is
#: left out.
Fields = Mapping[int, Any]

# Values of the schema's unions and enums.
CONTENT_FEATURE, CONTENT_IMAGE, CONTENT_AUDIO = 1, 2, 4
COLOUR_UNKNOWN, COLOUR_RGB = 0, 1
UNIT_NORMALIZATION, UNIT_SCORE_CALIBRATION, UNIT_SCORE_THRESHOLD = 1, 2, 3
UNIT_BERT, UNIT_SENTENCE_PIECE, UNIT_REGEX = 4, 5, 6
TRANSFORM_INVERSE_LOGISTIC = 2
AXIS_LABELS, AXIS_SCORE_CALIBRATION, VOCABULARY, SCANN_INDEX = 2, 4, 5, 6

_IDENTIFIER = b"M001"
_Version = tuple[int, int, int]

# What came into the schema after 1.0.0, from its history and from metadata_version.cc beside it.
_SINCE_FILE_TYPE: Mapping[int, _Version] = {VOCABULARY: (1, 0, 1), SCANN_INDEX: (1, 4, 0)}
_SINCE_UNIT: Mapping[int, _Version] = {UNIT_BERT: (1, 1, 0), UNIT_SENTENCE_PIECE: (1, 1, 0), UNIT_REGEX: (1, 2, 1)}
_SINCE_CONTENT: Mapping[int, _Version] = {CONTENT_AUDIO: (1, 3, 0)}
# Fields of SubGraphMetadata: process units of all inputs and of all outputs, groups of both, custom metadata.
_SINCE_SUBGRAPH_FIELD: Mapping[int, _Version] = {
    5: (1, 1, 0),
    6: (1, 1, 0),
    7: (1, 2, 0),
    8: (1, 2, 0),
    9: (1, 5, 0),
}
_SINCE_FILE_VERSION: _Version = (1, 4, 1)


class UInt32(int):
    """A number to be written in four bytes."""


def metadata_flatbuffer(fields: Fields) -> Any:
    """A ``ModelMetadata`` as a flatbuffer.

    Args:
        fields: of the table; its ``min_parser_version`` (field 7) is set here.

    Returns:
        A numpy array of uint8; the same fields always give the same bytes.

    Raises:
        UnicodeEncodeError: a text holds lone surrogates.
    """
    import flatbuffers
    import numpy as np

    builder = flatbuffers.Builder(1024)
    builder.Finish(_put_table(builder, {**fields, 7: min_parser_version(fields)}), _IDENTIFIER)
    return np.frombuffer(bytes(builder.Output()), np.uint8)


def min_parser_version(fields: Fields) -> str:
    """The first version of the schema that has all that a ``ModelMetadata`` uses, such as ``"1.0.0"``."""
    return ".".join(map(str, max(_versions(fields))))


def _versions(model: Fields) -> Iterator[_Version]:
    yield (1, 0, 0)
    yield from _of_files(model.get(6))
    for subgraph in model.get(3) or ():
        yield from (version for slot, version in _SINCE_SUBGRAPH_FIELD.items() if subgraph.get(slot) is not None)
        yield from _of_files(subgraph.get(4))
        yield from _of_units([*(subgraph.get(5) or ()), *(subgraph.get(6) or ())])
        for tensor in [*(subgraph.get(2) or ()), *(subgraph.get(3) or ())]:
            yield from _of_files(tensor.get(6))
            yield from _of_units(tensor.get(4))
            yield from _since(_SINCE_CONTENT, tensor.get(3))


def _of_files(files: list[Fields] | None) -> Iterator[_Version]:
    for file in files or ():
        if file.get(2) in _SINCE_FILE_TYPE:
            yield _SINCE_FILE_TYPE[file[2]]
        if file.get(4) is not None:
            yield _SINCE_FILE_VERSION


def _of_units(units: list[Fields] | None) -> Iterator[_Version]:
    for unit in units or ():
        yield from _since(_SINCE_UNIT, unit)


def _since(table: Mapping[int, _Version], union: Fields | None) -> Iterator[_Version]:
    """Of a table whose field 0 says what its field 1 is."""
    if union is not None and union.get(0) in table:
        yield table[union[0]]


def _put_table(builder: Any, fields: Fields) -> int:
    """Write a table and return its offset; what is None is left out."""
    given = {slot: value for slot, value in fields.items() if value is not None}
    # A flatbuffer is written from its end: what a table refers to comes before the table.
    offsets = {slot: _put(builder, value) for slot, value in given.items() if not isinstance(value, int | float)}
    builder.StartObject(max(fields, default=-1) + 1)
    for slot, value in given.items():
        if slot in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)
        elif isinstance(value, float):
            builder.PrependFloat32Slot(slot, value, 0.0)
        elif isinstance(value, UInt32):
            builder.PrependUint32Slot(slot, value, 0)
        else:
            builder.PrependInt8Slot(slot, value, 0)
    return int(builder.EndObject())


def _put(builder: Any, value: str | Fields | list[Any]) -> int:
    """Write a text, a table, or a list of tables or of floats, and return its offset."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, Mapping):
        return _put_table(builder, value)
    items = [item if isinstance(item, float) else _put(builder, item) for item in value]
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        if isinstance(item, float):
            builder.PrependFloat32(item)
        else:
            builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())
