"""Writes standard TFLite Metadata, and the labels and specification in a zip that ends the file.

Field numbers are those of the metadata schema, see ``converters.metadata_tables``. ``runtime.metadata`` and
``runtime.associated_files`` read what is written here.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

from converters.bundle import LABELS_FILE
from converters.flatbuffer_model import pack_model, unpack_model
from converters.metadata_entries import TFLITE_METADATA, set_entry, set_min_runtime_version
from converters.metadata_tables import (
    AXIS_LABELS,
    AXIS_SCORE_CALIBRATION,
    COLOUR_RGB,
    COLOUR_UNKNOWN,
    CONTENT_FEATURE,
    CONTENT_IMAGE,
    TRANSFORM_INVERSE_LOGISTIC,
    UNIT_NORMALIZATION,
    UNIT_SCORE_CALIBRATION,
    UNIT_SCORE_THRESHOLD,
    Fields,
    UInt32,
    metadata_flatbuffer,
)
from converters.metadata_text import MetadataText
from runtime.errors import ModelError, counted
from runtime.spec import SPEC_FILE_NAME, ModelSpec

#: Names of the tensors in the model and in its metadata.
INPUT_NAME = "image"
OUTPUT_NAME = "scores"
#: Thresholds of the labels where they differ, as the standard has it.
CALIBRATION_FILE = "score_calibration.csv"


def add_metadata(
    model: bytes,
    spec: ModelSpec,
    text: MetadataText | None = None,
    translations: Mapping[str, tuple[str, ...]] | None = None,
) -> bytes:
    """Write into a model what it is, so that any reader of TFLite Metadata can use it.

    Weights and computation stay as they are. The tensors are renamed to ``image`` and ``scores``, metadata of
    an earlier call and an archive at the end of the file are replaced, ``min_runtime_version`` follows the
    operators, other entries stay.

    Args:
        model: a ``.tflite`` file with one input (1, height, width, 3) and one output (1, labels).
        spec: what to write: names, normalisation, labels, and all of it as ``spec.json``.
        text: the user's word on name, description, author, version and licence, before the specification's.
        translations: locale -> the labels in that language, as ``metadata_text.read_translations`` gives them.

    Returns:
        The new ``.tflite`` file; the same arguments always give the same bytes.

    Raises:
        ModelError: not a TFLite model, a damaged one, or one that does not fit the specification.
    """
    contents = unpack_model(model)
    source, target = _input_and_output(contents)
    translations = translations or {}
    _check_fit(source, target, spec, translations)
    files = _associated_files(spec, translations)
    source.name, target.name = INPUT_NAME.encode(), OUTPUT_NAME.encode()
    described = _model_metadata(spec, text or MetadataText(), tuple(translations), _stored_range(source))
    set_min_runtime_version(contents)
    set_entry(contents, TFLITE_METADATA, metadata_flatbuffer(described))
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


def _check_fit(source: Any, target: Any, spec: ModelSpec, translations: Mapping[str, tuple[str, ...]]) -> None:
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
            f"the model has {counted(scores, 'output')}, its specification {counted(len(spec.labels), 'label')}: "
            "use the specification it was trained with"
        )
    for locale, names in translations.items():
        if len(names) != scores:
            raise ModelError(f"the model has {counted(scores, 'output')}, its labels in {locale} are {len(names)}")


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def _stored_range(tensor: Any) -> tuple[float, float] | None:
    """Least and greatest stored value of a quantised tensor; None for a float one."""
    from ai_edge_litert.schema_py_generated import TensorType

    ranges = {TensorType.UINT8: (0.0, 255.0), TensorType.INT8: (-128.0, 127.0)}
    return ranges.get(tensor.type)


def _model_metadata(
    spec: ModelSpec, text: MetadataText, locales: tuple[str, ...], stored_range: tuple[float, float] | None
) -> Fields:
    version, author, licence = (spec.provenance.get(key) for key in ("toolkit", "author", "license"))
    said = f"Image classifier, {spec.backbone}, {len(spec.labels)} classes, {spec.task}"
    return {
        0: text.name or spec.name,
        1: text.description or said,
        2: text.version or (str(version) if version else None),
        3: [{2: [_input_metadata(spec, stored_range)], 3: [_output_metadata(spec, locales)]}],
        4: text.author or (str(author) if author else None),
        5: text.license or (str(licence) if licence else None),
        6: [{0: SPEC_FILE_NAME, 1: "Preprocessing, calibration and provenance, for edge-export-toolkit"}],
    }


def _input_metadata(spec: ModelSpec, stored_range: tuple[float, float] | None) -> Fields:
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
    colour = COLOUR_RGB if pixels.channel_order == "RGB" else COLOUR_UNKNOWN
    # The normalisation of a quantised model is that of its float original: readers apply it to float inputs
    # only, a quantised input has it in its scale and zero point.
    normalization = {0: [mean for mean, _ in channels], 1: [std for _, std in channels]}
    return {
        0: INPUT_NAME,
        1: f"Picture of {pixels.width} x {pixels.height} pixels, {pixels.channel_order}",
        3: {0: CONTENT_IMAGE, 1: {0: colour, 1: {0: UInt32(pixels.width), 1: UInt32(pixels.height)}}},
        4: [{0: UNIT_NORMALIZATION, 1: normalization}],
        5: {0: greatest, 1: least},
    }


def _output_metadata(spec: ModelSpec, locales: tuple[str, ...]) -> Fields:
    labels = [{0: LABELS_FILE, 1: "Names of the classes, one a line", 2: AXIS_LABELS}]
    # Readers take the first file where no locale is asked for: the names that the model was trained with.
    labels += [
        {0: _translated_file(locale), 1: f"Names of the classes, one a line, in {locale}", 2: AXIS_LABELS, 3: locale}
        for locale in locales
    ]
    threshold = _global_threshold(spec)
    units = [] if threshold is None else [{0: UNIT_SCORE_THRESHOLD, 1: {0: threshold}}]
    if _calibration_lines(spec) is not None:
        units.append({0: UNIT_SCORE_CALIBRATION, 1: {0: TRANSFORM_INVERSE_LOGISTIC, 1: 0.0}})
        labels.append({0: CALIBRATION_FILE, 1: "Least score of each class", 2: AXIS_SCORE_CALIBRATION})
    return {
        0: OUTPUT_NAME,
        1: "Score of each class, 0 to 1",
        3: {0: CONTENT_FEATURE, 1: {}},
        4: units or None,
        5: {0: [1.0], 1: [0.0]},
        6: labels,
    }


def _translated_file(locale: str) -> str:
    """Name of the file with the labels in another language."""
    return f"labels-{locale}.txt"


def _global_threshold(spec: ModelSpec) -> float | None:
    """The threshold that all labels share; None without one.

    A reader of the metadata compares it with the score that the model gives, so it is left out where our
    thresholds are for calibrated scores. ``unknown_below`` is none of these: it turns the whole answer into
    "unknown", where a threshold hides every class below it, the second best of a sound answer too.
    """
    values = {spec.thresholds.get(label) for label in spec.labels}
    value = values.pop()
    return None if values or value is None or spec.calibration else float(value)


def _calibration_lines(spec: ModelSpec) -> str | None:
    """Thresholds that differ from label to label, in the only form that the standard has for them.

    A score calibration with scale 1, slope 1 and offset 0 of the inverse logistic function leaves scores as they
    are; its least score makes 0 of what is lower. No line break ends the last line: readers count lines.
    """
    if not spec.thresholds or spec.calibration or _global_threshold(spec) is not None:
        return None
    least = (spec.thresholds.get(label, 0.0) for label in spec.labels)
    return "\n".join(f"1,1,0,{float(value)!r}" if value else "1,1,0" for value in least)


def _associated_files(spec: ModelSpec, translations: Mapping[str, tuple[str, ...]]) -> dict[str, bytes]:
    texts = {LABELS_FILE: spec.labels.as_lines(), SPEC_FILE_NAME: spec.to_json()}
    texts |= {
        _translated_file(locale): "".join(f"{name}\n" for name in names) for locale, names in translations.items()
    }
    calibration = _calibration_lines(spec)
    if calibration is not None:
        texts[CALIBRATION_FILE] = calibration
    try:
        return {name: text.encode() for name, text in texts.items()}
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
