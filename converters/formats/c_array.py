"""A ``.tflite`` file as C++ source for TensorFlow Lite Micro: ``NAME.h`` and ``NAME.cc``.

They hold the model's bytes and all that a program needs to use it: labels, preprocessing, quantisation, operators and
the size of the arena. The header wants nothing but the C++11 library.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from converters.atomic import write_bytes
from converters.flatbuffer_model import unpack_model
from converters.formats.arena import Arena, arena_for
from converters.formats.c_text import byte_lines, float_list, float_literal, identifier, string_literal
from converters.formats.dense_per_tensor import per_channel_dense_layers
from converters.formats.lean_model import lean_model
from converters.formats.micro_operators import registering_methods, type_name
from runtime.errors import ModelError, counted
from runtime.quantization import Quantization
from runtime.spec import ModelSpec

_C_TYPES = {"float32": "float", "int8": "std::int8_t", "uint8": "std::uint8_t", "int16": "std::int16_t"}

_HEADER = """\
// Written by edge-export-toolkit; do not edit.
// An image classifier for TensorFlow Lite Micro: declarations. The model's sha256 is
// {sha256}.
#ifndef {guard}
#define {guard}

#include <cstddef>
#include <cstdint>

namespace {namespace} {{

extern const char kName[];

// The model, for tflite::GetModel().
constexpr std::size_t kModelSize = {size};
extern const unsigned char kModel[kModelSize];

// Bytes of the tensor arena, which is to be aligned to 16:
// {how}.
// Kernels that are optimised for a processor may ask for more; AllocateTensors() then says how much is missing.
constexpr std::size_t kArenaSize = {arena};

// Operators: tflite::MicroMutableOpResolver<kOperatorCount> resolver; RegisterOperators(resolver).
constexpr unsigned int kOperatorCount = {operator_count};
template <typename Resolver>
bool RegisterOperators(Resolver& resolver) {{
  // 0 is kTfLiteOk.
  return {operators};
}}
{notes}
// Input: one picture, row after row, kChannels values a pixel{bgr}.
// The picture is {resize}, {resample}.
typedef {input_type} Input;
constexpr int kHeight = {height};
constexpr int kWidth = {width};
constexpr int kChannels = 3;
constexpr float kCropFraction = {crop_fraction};  // 0: the whole picture is stretched
constexpr float kMean[kChannels] = {mean};
constexpr float kStd[kChannels] = {std};
constexpr float kInputScale = {input_scale};  // 0: not quantised
constexpr int kInputZeroPoint = {input_zero_point};

// What goes into the input for a channel's value of 0 to 255.
inline Input InputValue(int value, int channel) {{
{input_value}
}}

// Output: kClassCount scores.
typedef {output_type} Output;
constexpr int kClassCount = {classes};
constexpr float kOutputScale = {output_scale};  // 0: not quantised
constexpr int kOutputZeroPoint = {output_zero_point};

// The score, 0 to 1, that an output value stands for.
inline float Score(Output value) {{
  return {score};
}}

// UTF-8, in the order of the scores.
extern const char* const kLabels[kClassCount];
// The score from which on a class counts as an answer.
extern const float kLeastScores[kClassCount];
// Whether a picture may have several labels; else the class of the greatest score is the answer.
constexpr bool kMultiLabel = {multi_label};

}}  // namespace {namespace}

#endif  // {guard}
"""

_SOURCE = """\
// Written by edge-export-toolkit; do not edit.
// An image classifier for TensorFlow Lite Micro: the model and its texts.
#include "{header}"

namespace {namespace} {{

const char kName[] = {name};

const char* const kLabels[kClassCount] = {{
{labels}}};

const float kLeastScores[kClassCount] = {least_scores};

// Interpreters use weights where they lie.
alignas(16) const unsigned char kModel[kModelSize] = {{
"""

_SOURCE_END = """\
}};

}}  // namespace {namespace}
"""

_PER_CHANNEL_NOTE = """
// The weights of a dense layer have one scale for each output: tflite-micro of before June 2024 takes the first for all
// of them and answers wrongly; some later kernels refuse the model.
"""


def write(content: bytes, spec: ModelSpec, folder: Path, kind: str, python: str = sys.executable) -> list[Path]:
    """Write ``NAME_KIND_model.h`` and ``.cc``; each is whole or as it was before.

    The model is the file's without metadata and names, which a microcontroller has no use for; it gives the same
    scores.

    Args:
        content: of a float32, int8 or int16x8 ``.tflite`` file.
        spec: of the model.
        folder: for the files.
        kind: of the file, for the names: ``int8``.
        python: the interpreter whose tflite-micro measures the arena, if it has it.

    Returns:
        The two files.

    Raises:
        ModelError: not a TFLite model; one that TensorFlow Lite Micro has no kernels for, or that does not fit the
            spec; one that tflite-micro, where it is installed, does not take; a label that is no text.
        DataError: the files cannot be written.
    """
    lean = lean_model(content)
    model = unpack_model(lean)
    operators = registering_methods(model)
    header, source = (folder / name for name in file_names(spec, kind))
    name = header.stem
    arena = arena_for(lean, model, python)
    declarations = _header_text(lean, model, spec, name, operators, arena).encode("ascii")
    write_bytes(source, _source_text(lean, spec, name, header.name))
    write_bytes(header, declarations)
    return [header, source]


def file_names(spec: ModelSpec, kind: str) -> tuple[str, str]:
    """Of the header and the source that ``write`` writes."""
    name = identifier(spec.name, f"{kind}_model")
    return f"{name}.h", f"{name}.cc"


def _source_text(lean: bytes, spec: ModelSpec, name: str, header: str) -> bytes:
    begin = _SOURCE.format(
        header=header,
        namespace=name,
        name=string_literal(spec.name),
        labels="".join(f"    {string_literal(label)},\n" for label in spec.labels),
        least_scores=float_list(spec.least_scores()),
    )
    return b"".join([begin.encode("ascii"), *byte_lines(lean), _SOURCE_END.format(namespace=name).encode("ascii")])


def _header_text(lean: bytes, model: Any, spec: ModelSpec, name: str, operators: list[str], arena: Arena) -> str:
    pixels = spec.preprocessing
    graph = model.subgraphs[0]
    source, target = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    _check_fit(source, target, spec)
    taken, given = _quantization(source), _quantization(target)
    crop = pixels.resize == "center-crop"
    return _HEADER.format(
        sha256=hashlib.sha256(lean).hexdigest(),
        guard=f"{name.upper()}_H_",
        namespace=name,
        size=len(lean),
        how=arena.how,
        arena=arena.size,
        operator_count=len(operators),
        operators=" &&\n         ".join(f"resolver.{method}() == 0" for method in operators),
        notes=_PER_CHANNEL_NOTE if per_channel_dense_layers(model) else "",
        bgr=f" in the order {pixels.channel_order}",
        resize="cut to the largest window of the input's shape, kCropFraction of it" if crop else "stretched",
        resample=f"with the filter {pixels.resample}",
        input_type=_C_TYPES[type_name(source)],
        height=pixels.height,
        width=pixels.width,
        crop_fraction=float_literal(pixels.crop_fraction if crop else 0.0),
        mean=float_list(pixels.mean),
        std=float_list(pixels.std),
        input_scale=float_literal(taken.scale),
        input_zero_point=taken.zero_point,
        input_value=_input_value(taken, spec),
        output_type=_C_TYPES[type_name(target)],
        classes=len(spec.labels),
        output_scale=float_literal(given.scale),
        output_zero_point=given.zero_point,
        score="(static_cast<int>(value) - kOutputZeroPoint) * kOutputScale" if given.is_quantized else "value",
        multi_label="true" if spec.task == "multi-label" else "false",
    )


def _input_value(taken: Quantization, spec: ModelSpec) -> str:
    """The body of ``InputValue``, which gives what ``runtime.classifier`` puts into the same file."""
    if not taken.is_quantized:
        return "  return (static_cast<float>(value) - kMean[channel]) / kStd[channel];"
    shift = taken.byte_shift(spec.preprocessing)
    if shift is not None:
        stored = f"value - {shift}" if shift else "value"
        return f"  static_cast<void>(channel);\n  return static_cast<Input>({stored});"
    limits = np.iinfo(taken.dtype)
    return (
        "  const float real = (static_cast<float>(value) - kMean[channel]) / kStd[channel] / kInputScale;\n"
        "  const int rounded = static_cast<int>(real < 0 ? real - 0.5f : real + 0.5f) + kInputZeroPoint;\n"
        f"  return static_cast<Input>(rounded < {limits.min} ? {limits.min} : "
        f"rounded > {limits.max} ? {limits.max} : rounded);"
    )


def _quantization(tensor: Any) -> Quantization:
    quantization, dtype = tensor.quantization, np.dtype(type_name(tensor))
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        return Quantization(dtype, 0.0, 0)
    return Quantization(dtype, float(quantization.scale[0]), int(quantization.zeroPoint[0]))


def _check_fit(source: Any, target: Any, spec: ModelSpec) -> None:
    pixels = spec.preprocessing
    shape, scores = tuple(map(int, source.shape)), int(np.prod(target.shape))
    if shape != (1, pixels.height, pixels.width, 3) or scores != len(spec.labels):
        raise ModelError(
            f"the model takes {shape} and gives {counted(scores, 'score')}; its specification says "
            f"{(1, pixels.height, pixels.width, 3)} and {len(spec.labels)} labels"
        )
    for tensor in (source, target):
        if type_name(tensor) not in _C_TYPES:
            raise ModelError(f"c-array knows no {type_name(tensor)} input or output: {', '.join(_C_TYPES)} it does")
