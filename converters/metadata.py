"""Writes standard TFLite Metadata, and the labels and specification in a zip that ends the file.

Field numbers and enums are those of the metadata schema:
https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs
``runtime.metadata`` and ``runtime.associated_files`` read what is written here.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

from converters.bundle import LABELS_FILE
from converters.flatbuffer_model import pack_model, unpack_model
from runtime.errors import ModelError
from runtime.spec import SPEC_FILE_NAME, ModelSpec

#: Names of the tensors in the model and in its metadata.
INPUT_NAME = "image"
OUTPUT_NAME = "scores"

_ENTRY = b"TFLITE_METADATA"
_IDENTIFIER = b"M001"
# Everything written here is in the schema since its first version (metadata_version.cc beside the schema).
_MIN_PARSER_VERSION = "1.0.0"

# Values of the schema's unions and enums.
_CONTENT_FEATURE, _CONTENT_IMAGE = 1, 2
_COLOUR_UNKNOWN, _COLOUR_RGB = 0, 1
_UNIT_NORMALIZATION, _UNIT_SCORE_THRESHOLD = 1, 3
_AXIS_LABELS = 2

# A table to write: field number -> text, float, int (a byte), table, or list of tables or of floats.
_Fields = Mapping[int, Any]


def add_metadata(model: bytes, spec: ModelSpec) -> bytes:
    """Write into a model what it is, so that any reader of TFLite Metadata can use it.

    Weights and computation stay as they are. The tensors are renamed to ``image`` and ``scores``, metadata of
    an earlier call and an archive at the end of the file are replaced, other entries stay.

    Args:
        model: a ``.tflite`` file with one input (1, height, width, 3) and one output (1, labels).
        spec: what to write: names, normalisation, labels, and all of it as ``spec.json``.

    Returns:
        The new ``.tflite`` file; the same arguments always give the same bytes.

    Raises:
        ModelError: not a TFLite model, a damaged one, or one that does not fit the specification.
    """
    contents = unpack_model(model)
    source, target = _input_and_output(contents)
    _check_fit(source, target, spec)
    files = _associated_files(spec)
    source.name, target.name = INPUT_NAME.encode(), OUTPUT_NAME.encode()
    _metadata_buffer(contents).data = _flatbuffer(_model_metadata(spec, _stored_range(source)))
    return _append_archive(pack_model(contents), files)


def _input_and_output(model: Any) -> tuple[Any, Any]:
    try:
        main = model.subgraphs[0]
        inputs = [main.tensors[index] for index in main.inputs]
        outputs = [main.tensors[index] for index in main.outputs]
    except (IndexError, TypeError) as error:  # TypeError: a vector that is absent is None
        raise ModelError("the TensorFlow Lite model is damaged: it lacks its inputs or outputs") from error
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"an image classifier has one input and one output, this model has {len(inputs)} and {len(outputs)}"
        )
    return inputs[0], outputs[0]


def _check_fit(source: Any, target: Any, spec: ModelSpec) -> None:
    pixels = spec.preprocessing
    taken, described = _shape(source), (1, pixels.height, pixels.width, 3)
    if taken != described:
        raise ModelError(
            f"the model takes an input of shape {taken}, its specification describes {described}: "
            "use the specification it was trained with"
        )
    scores = math.prod(_shape(target))
    if scores != len(spec.labels):
        raise ModelError(
            f"the model has {scores} outputs, its specification {len(spec.labels)} labels: "
            "use the specification it was trained with"
        )


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def _stored_range(tensor: Any) -> tuple[float, float] | None:
    """Least and greatest stored value of a quantised tensor; None for a float one."""
    from ai_edge_litert.schema_py_generated import TensorType

    ranges = {TensorType.UINT8: (0.0, 255.0), TensorType.INT8: (-128.0, 127.0)}
    return ranges.get(tensor.type)


def _metadata_buffer(model: Any) -> Any:
    """The buffer for the metadata: the one of an earlier call, or a new one; exactly one entry names it."""
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    entries = model.metadata or []
    others = [entry for entry in entries if entry.name != _ENTRY]
    used = {0} | {entry.buffer for entry in others}
    used |= {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors or ()}
    free = [entry.buffer for entry in entries if entry.name == _ENTRY and entry.buffer not in used]
    model.buffers = model.buffers or [BufferT()]  # buffer 0 is the empty one, by convention
    index = free[0] if free and free[0] < len(model.buffers) else len(model.buffers)
    if index == len(model.buffers):
        model.buffers.append(BufferT())
    entry = MetadataT()
    entry.name, entry.buffer = _ENTRY, index
    model.metadata = [*others, entry]
    return model.buffers[index]


def _model_metadata(spec: ModelSpec, stored_range: tuple[float, float] | None) -> _Fields:
    version, author, licence = (spec.provenance.get(key) for key in ("toolkit", "author", "license"))
    return {
        0: spec.name,
        1: f"Image classifier, {spec.backbone}, {len(spec.labels)} classes, {spec.task}",
        2: str(version) if version else None,
        3: [{2: [_input_metadata(spec, stored_range)], 3: [_output_metadata(spec)]}],
        4: str(author) if author else None,
        5: str(licence) if licence else None,
        6: [{0: SPEC_FILE_NAME, 1: "Preprocessing, calibration and provenance, for edge-export-toolkit"}],
        7: _MIN_PARSER_VERSION,
    }


def _input_metadata(spec: ModelSpec, stored_range: tuple[float, float] | None) -> _Fields:
    pixels = spec.preprocessing
    # Readers want mean and std of one length: one value for all channels, or three of each.
    channels = list(zip(pixels.mean, pixels.std, strict=True))
    if len(set(channels)) == 1:
        channels = channels[:1]
    if stored_range is None:
        least = [(0 - mean) / std for mean, std in channels]
        greatest = [(255 - mean) / std for mean, std in channels]
    else:
        least, greatest = [stored_range[0]], [stored_range[1]]
    # The schema has no name for BGR: unknown says less than RGB, and nothing wrong.
    colour = _COLOUR_RGB if pixels.channel_order == "RGB" else _COLOUR_UNKNOWN
    # The normalisation of a quantised model is that of its float original: readers apply it to float inputs
    # only, a quantised input has it in its scale and zero point.
    normalization = {0: [mean for mean, _ in channels], 1: [std for _, std in channels]}
    return {
        0: INPUT_NAME,
        1: f"Picture of {pixels.width} x {pixels.height} pixels, {pixels.channel_order}",
        3: {0: _CONTENT_IMAGE, 1: {0: colour}},
        4: [{0: _UNIT_NORMALIZATION, 1: normalization}],
        5: {0: greatest, 1: least},
    }


def _output_metadata(spec: ModelSpec) -> _Fields:
    threshold = _global_threshold(spec)
    unit = {0: _UNIT_SCORE_THRESHOLD, 1: {0: threshold}}
    return {
        0: OUTPUT_NAME,
        1: "Score of each class, 0 to 1",
        3: {0: _CONTENT_FEATURE, 1: {}},
        4: None if threshold is None else [unit],
        5: {0: [1.0], 1: [0.0]},
        6: [{0: LABELS_FILE, 1: "Names of the classes, one a line", 2: _AXIS_LABELS}],
    }


def _global_threshold(spec: ModelSpec) -> float | None:
    """The threshold that all labels share; None without one.

    A reader of the metadata compares it with the score that the model gives, so it is left out where our
    thresholds are for calibrated scores.
    """
    values = {spec.thresholds.get(label) for label in spec.labels}
    value = values.pop()
    return None if values or value is None or spec.calibration else float(value)


def _flatbuffer(fields: _Fields) -> Any:
    """The metadata as a flatbuffer, in a numpy array of uint8."""
    import flatbuffers
    import numpy as np

    builder = flatbuffers.Builder(1024)
    builder.Finish(_put_table(builder, fields), _IDENTIFIER)
    return np.frombuffer(bytes(builder.Output()), np.uint8)


def _put_table(builder: Any, fields: _Fields) -> int:
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
        else:
            builder.PrependInt8Slot(slot, value, 0)
    return int(builder.EndObject())


def _put(builder: Any, value: str | _Fields | list[Any]) -> int:
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


def _associated_files(spec: ModelSpec) -> dict[str, bytes]:
    try:
        return {LABELS_FILE: spec.labels.as_lines().encode(), SPEC_FILE_NAME: spec.to_json().encode()}
    except UnicodeEncodeError as error:  # a folder's name in another encoding comes as lone surrogates
        raise ModelError(f"the specification holds a name that is no Unicode text: {error}") from error


def _append_archive(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """The model with a zip archive behind it, whose offsets count from the start of the whole file."""
    # Append mode first looks for an archive to extend, and chance may have put a signature of one into the
    # weights: it is shown zeros of the model's length instead.
    file = io.BytesIO(bytes(len(model)))
    with zipfile.ZipFile(file, "a") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            # Not compressed: MediaPipe and the TFLite Task Library hand out the bytes where they lie.
            member.compress_type = zipfile.ZIP_STORED
            member.create_system = 3  # Unix on every system, for the same bytes everywhere
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return model + file.getvalue()[len(model) :]
