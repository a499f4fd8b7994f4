"""Formats beside ``.tflite``: each is written by a module of its own, and told of in export.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.digests import digest_of, size_of
from converters.formats import coreml, edgetpu, frozen_graph, keras_file, onnx, saved_model
from converters.metadata import INPUT_NAME, OUTPUT_NAME
from converters.options import ConvertOptions
from converters.prove_c_array import write_proved
from converters.reference import Reference
from converters.source import Source
from runtime.errors import ModelError


def write_format(
    name: str,
    source: Source,
    made: Mapping[str, bytes],
    stem: str,
    folder: Path,
    reference: tuple[NDArray[Any], NDArray[np.float32]],
    options: ConvertOptions,
    proof: Reference,
) -> tuple[list[Path], dict[str, Any]]:
    """Write one format.

    Args:
        name: of ``converters.kinds.FORMATS``.
        source: the model.
        made: kind -> content of each ``.tflite`` file that passed, with metadata.
        stem: of the files' names.
        folder: for the files.
        reference: pictures, and the scores of the model as it came.
        options: of the conversion.
        proof: the same pictures and scores, where other processes find them, with what the pictures show.

    Returns:
        The files and folders, and what is to be told of them.

    Raises:
        EdgeExportError: it cannot be had from this model or here, and why.
    """
    if name in _OF_TENSORFLOW:
        return _OF_TENSORFLOW[name](source, folder, stem), {}
    if name == "onnx":
        opset = onnx.DEFAULT_OPSET if options.onnx_opset is None else options.onnx_opset
        written = onnx.write_onnx(folder / f"{stem}.onnx", made["float32"], source.spec, *reference, opset)
        return [written.path], {
            "opset": written.opset,
            "largest_score_difference": written.largest_score_difference,
            "top1_agreement": written.top1_agreement,
            "images": written.images,
        }
    if name == "coreml":
        function = source.traced(INPUT_NAME, OUTPUT_NAME)
        package = coreml.write_coreml(folder / f"{stem}.mlpackage", function, source.spec, *reference, options.text)
        return [folder / f"{stem}.mlpackage"], {
            "largest_score_difference": package.largest_score_difference,
            "top1_agreement": package.top1_agreement,
            "images": package.images,
            "message": package.not_checked or "running it needs a Mac, an iPhone or an iPad",
        }
    if "int8" not in made:
        raise ModelError(f"{name} is made of the int8 file, which did not pass")
    if name == "c-array":
        return write_proved(made["int8"], source.spec, folder, proof, options)
    compiled = edgetpu.write(made["int8"], source.spec, folder, f"{stem}_int8")
    return list(compiled.files), compiled.to_json()


#: What stands behind the model's name in the files of a format; those of c-array have a name of their own.
ENDINGS = {
    "pb": (".pb", "_labels.txt", "_spec.json"),
    "keras": (".keras", "_labels.txt", "_spec.json"),
    "saved_model": ("_saved_model",),
    "onnx": (".onnx",),
    "coreml": (".mlpackage",),
}
_OF_TENSORFLOW = {"pb": frozen_graph.write, "saved_model": saved_model.write, "keras": keras_file.write}


def format_entry(name: str, files: list[Path], told: dict[str, Any], options: ConvertOptions) -> dict[str, Any]:
    """What export.json says of a format."""
    told = {key: value for key, value in told.items() if key != "files"}
    return {
        "format": name,
        "files": [{"file": path.name, "bytes": size_of(path), "sha256": digest_of(path)} for path in files],
        "made_with": options.made_with(name),
    } | told
