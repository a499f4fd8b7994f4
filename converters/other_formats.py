"""Formats beside ``.tflite``: each is written by a module of its own, and told of in export.json."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.digests import digest_of, size_of
from converters.formats import c_array, coreml, edgetpu, frozen_graph, keras_file, onnx, saved_model
from converters.inputs.detect import Kind
from converters.kinds import FORMATS
from converters.metadata import INPUT_NAME, OUTPUT_NAME
from converters.options import ConvertOptions
from converters.prove_c_array import write_proved
from converters.reference import Reference
from converters.source import Source
from runtime.errors import MissingPackageError, ModelError, UsageError
from runtime.file_kind import shown
from runtime.spec import ModelSpec


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
        raise ModelError("it is made of the int8 file, which did not pass")
    if name == "c-array":
        return write_proved(made["int8"], source.spec, folder, proof, options)
    compiled = edgetpu.write(made["int8"], source.spec, folder, f"{stem}_int8")
    return list(compiled.files), compiled.to_json()


_BESIDE = ("_labels.txt", "_spec.json")
# What stands behind the model's name in the files of a format; those of c-array have a name of their own.
_ENDINGS = {
    "pb": (".pb", *_BESIDE),
    "keras": (".keras", *_BESIDE),
    "saved_model": (saved_model.FOLDER_ENDING,),
    "onnx": (".onnx",),
    "coreml": (coreml.SUFFIX,),
    "edgetpu": tuple(
        f"_int8{ending}"
        for ending in (*(f"_edgetpu{end}" for end in (".tflite", ".log", *_BESIDE)), "_for_edgetpu.tflite")
    ),
}
# The packages that a format needs beside TensorFlow, and the extra of ours that brings them.
_PACKAGES = {"onnx": ("onnx", ("tf2onnx", "onnx")), "coreml": ("coreml", ("coremltools",))}
_GRAPHS: frozenset[Kind] = frozenset({"bundle", "keras", "saved model", "graph"})
# The kinds of model that a format is made of; the others are made of .tflite files.
_MADE_OF: dict[str, frozenset[Kind]] = {
    "pb": _GRAPHS,
    "saved_model": _GRAPHS,
    "coreml": _GRAPHS,
    "keras": frozenset({"bundle", "keras"}),
}
_IN_WORDS: dict[Kind, str] = {
    "tflite": ".tflite file",
    "tflite folder": "folder of a .tflite file",
    "graph": "frozen graph",
    "saved model": "SavedModel",
}
_OF_TENSORFLOW = {"pb": frozen_graph.write, "saved_model": saved_model.write, "keras": keras_file.write}


def names_of(name: str, spec: ModelSpec, stem: str) -> list[str]:
    """Names of all files and folders that ``write_format`` may write."""
    if name == "c-array":
        return list(c_array.file_names(spec, "int8"))
    return [f"{stem}{ending}" for ending in _ENDINGS[name]]


def check_source(formats: tuple[str, ...], kind: Kind, path: Path) -> None:
    """Make sure that the formats can be had from this kind of model at all.

    Raises:
        UsageError: one cannot, and which can.
    """
    refused = [name for name in formats if not _gives(kind, name)]
    if refused:
        possible = ", ".join(name for name in FORMATS if _gives(kind, name))
        raise UsageError(
            f"--formats {','.join(refused)} cannot be made of {shown(path)}, which is a {_IN_WORDS[kind]}: "
            f"give the model that it was made of, or ask for others ({possible})"
        )


def _gives(kind: Kind, name: str) -> bool:
    return name not in _MADE_OF or kind in _MADE_OF[name]


def check_packages(formats: tuple[str, ...]) -> None:
    """Make sure that what the formats need is installed.

    Raises:
        MissingPackageError: it is not, and how to install it.
    """
    missing = {name: _missing(_PACKAGES[name][1]) for name in formats if name in _PACKAGES}
    missing = {name: packages for name, packages in missing.items() if packages}
    if missing:
        needs = " and ".join(f"--formats {name} needs {' and '.join(found)}" for name, found in missing.items())
        extras = ",".join(("train", *(_PACKAGES[name][0] for name in missing)))
        raise MissingPackageError(f"{needs}: pip install 'edge-export-toolkit[{extras}]'")


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [package for package in packages if find_spec(package) is None]


def format_entry(name: str, files: list[Path], told: dict[str, Any], options: ConvertOptions) -> dict[str, Any]:
    """What export.json says of a format."""
    told = {key: value for key, value in told.items() if key != "files"}
    return {
        "format": name,
        "files": [{"file": path.name, "bytes": size_of(path), "sha256": digest_of(path)} for path in files],
        "made_with": options.made_with(name),
    } | told
