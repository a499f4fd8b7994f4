"""A traced model to Core ML, through coremltools (the extra ``coreml``).

The result is a classifier: a picture goes in as Core ML has pictures, the normalisation is part of the model, labels
with scores come out. It is made on any system; only macOS and iOS can run it.
"""

from __future__ import annotations

import json
import logging
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.coreml_check import coreml_scores
from converters.metadata import INPUT_NAME, OUTPUT_NAME
from converters.metadata_text import MetadataText
from converters.tensorflow import import_tensorflow
from converters.whole_folder import in_the_way, replace_folder, standing_still
from runtime.errors import EdgeExportError, MissingPackageError, ModelError, UsageError, first_line
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr
from runtime.spec import SPEC_FILE_NAME, ModelSpec

#: Ending of the folder's name, by which macOS knows it.
SUFFIX = ".mlpackage"
#: For whoever prints what was written.
NOTE = "a Core ML model runs on macOS 12 and iOS 15 or later; here its content was computed without Core ML"
#: Precision of weights and computation, best first -> how much scores may differ. Measured on 70 photographs: float16
#: 6e-3 with MobileNet v1 and EfficientNet-Lite0.
TOLERANCES = {"float16": 0.05, "float32": 1e-3}

# Pictures that are compared at most: each costs 50 to 100 ms.
_COMPARED = 100
_INSTALL = "pip install 'edge-export-toolkit[train,coreml]'"
_PARTS = {"Manifest.json", "Data"}
# Of the package's items: their identifiers are random in coremltools and may be anything that is unique.
_NAMESPACE = uuid.UUID("6ad0f1c4-6f0c-5f0e-9b57-1f8f5c8f2a11")


@dataclass(frozen=True)
class CoreMlPackage:
    """A package and what is known of it.

    Attributes:
        folder: of the package.
        precision: float16; float32, twice the size, where float16 gave other scores.
        largest_score_difference: from the original model's scores; None where the package could not be computed.
        top1_agreement: share of the pictures with the same best class; None as above.
        images: how many were compared.
        not_checked: why they are None; else empty.
    """

    folder: Path
    precision: str
    largest_score_difference: float | None = None
    top1_agreement: float | None = None
    images: int = 0
    not_checked: str = ""


def check_coreml_folder(folder: Path) -> None:
    """Make sure that writing here would replace nothing but a Core ML package.

    Raises:
        UsageError: the folder is a file, cannot be read or written, or holds something else.
    """
    try:
        with standing_still(folder):
            if reason := in_the_way(folder):
                raise UsageError(f"{shown(folder)} cannot be written: {reason}")
            names = {path.name for path in folder.iterdir()} - _PARTS
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{shown(folder)} cannot be replaced: {error.strerror or error}") from error
    if names:
        raise UsageError(
            f"{shown(folder)} holds {shown(min(names))}, which is no part of a Core ML package and would be lost; "
            "move it away"
        )


def write_coreml(
    folder: Path,
    function: Any,
    spec: ModelSpec,
    images: NDArray[Any],
    scores: NDArray[np.float32],
    text: MetadataText | None = None,
) -> CoreMlPackage:
    """Convert, compare with the original model, and write; the folder holds the whole new package or what was there.

    Args:
        folder: to write, ``NAME.mlpackage``; a package that is there is replaced.
        function: the model as ``Source.traced`` gives it: a ``tf.function`` of one argument, normalised float32 (any
            batch, height, width, 3), to scores (batch, labels).
        spec: of the model.
        images: to compare with, (count, height, width, 3), 0..255, resized; may be empty.
        scores: of the original model on them, (count, labels).
        text: the user's word on description, author, version and licence.

    Raises:
        MissingPackageError: coremltools is not installed.
        UsageError: see ``check_coreml_folder``.
        ModelError: the model cannot be converted, or gives other scores.
        OSError: the folder cannot be written.
    """
    check_coreml_folder(folder)
    made: list[CoreMlPackage] = []
    with _quiet():
        coremltools = _import_coremltools()

        def fill(target: Path) -> None:
            for precision in TOLERANCES:
                shutil.rmtree(target / "Data", ignore_errors=True)  # of float16, when it is float32's turn
                _write_package(target, *_converted(coremltools, function, spec, precision, text or MetadataText()))
                package = _compared(CoreMlPackage(folder, precision), target, spec, images, scores)
                difference = package.largest_score_difference
                if difference is None or difference <= TOLERANCES[precision]:
                    made.append(package)
                    return
            raise ModelError(
                f"{shown(folder.name)}: its scores differ by {difference:.2g} from the model's own "
                f"(allowed: {TOLERANCES[precision]:g}); it was not kept"
            )

        replace_folder(folder, fill)
    return made[0]


def _compared(
    package: CoreMlPackage, written: Path, spec: ModelSpec, images: NDArray[Any], scores: NDArray[np.float32]
) -> CoreMlPackage:
    """The package with the figures of the comparison."""
    if not len(images):
        return replace(package, not_checked="there are no pictures to compare with")
    images, scores = images[:_COMPARED], scores[:_COMPARED]
    try:
        labels, found = coreml_scores(written, images)
    except Exception as error:  # an operation that is not known here, or a coremltools that reads otherwise
        return replace(package, not_checked=first_line(error))
    if labels != spec.labels.names:
        raise ModelError(f"{shown(package.folder.name)}: coremltools wrote other labels; it was not kept")
    return replace(
        package,
        largest_score_difference=float(np.abs(found - scores).max()),
        top1_agreement=float((found.argmax(axis=1) == scores.argmax(axis=1)).mean()),
        images=len(images),
    )


def _converted(
    coremltools: Any, function: Any, spec: ModelSpec, precision: str, text: MetadataText
) -> tuple[Any, dict[str, bytes]]:
    """The package's ``Model`` message, and the files with its weights."""
    try:
        model = _convert(coremltools, function, spec, precision)
        content = model.get_spec()
        _describe(content.description, spec, text)
        _number_names(content.mlProgram)
        # Read here: they lie in a folder that goes with the model.
        weights = {file.name: file.read_bytes() for file in sorted(Path(model.weights_dir).iterdir())}
    except EdgeExportError:
        raise
    except Exception as error:  # of coremltools and of TensorFlow: they have no common class
        raise ModelError(f"coremltools cannot convert the model: {first_line(error)}") from error
    return content, weights


def _convert(coremltools: Any, function: Any, spec: ModelSpec, precision: str) -> Any:
    tf = import_tensorflow()
    pixels = spec.preprocessing
    # Core ML has one scale for all channels. Where they differ, the model itself divides.
    uniform = len(set(pixels.std)) == 1
    mean, std = np.array(pixels.mean, np.float32), np.array(pixels.std, np.float32)
    scale = 1 / pixels.std[0] if uniform else 1.0
    bias = [-value / pixels.std[0] for value in pixels.mean] if uniform else [0.0, 0.0, 0.0]

    def forward(image: Any) -> Any:
        return {OUTPUT_NAME: function(image if uniform else (image - mean) / std)}

    shape = (1, pixels.height, pixels.width, 3)
    traced = tf.function(forward, input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)])
    layout = coremltools.colorlayout
    picture = coremltools.ImageType(
        name=INPUT_NAME,
        shape=shape,
        scale=scale,
        bias=bias,
        color_layout=layout.RGB if pixels.channel_order == "RGB" else layout.BGR,
    )
    return coremltools.convert(
        [traced.get_concrete_function()],
        source="tensorflow",
        inputs=[picture],
        classifier_config=coremltools.ClassifierConfig(list(spec.labels)),
        convert_to="mlprogram",
        compute_precision=coremltools.precision[precision.upper()],
        minimum_deployment_target=coremltools.target.iOS15,
        skip_model_load=True,  # a Mac would compile it
    )


def _describe(description: Any, spec: ModelSpec, text: MetadataText) -> None:
    """Texts that Xcode and Finder show, and the specification; without the day of the conversion."""
    metadata = description.metadata
    provenance = spec.provenance
    said = f"Image classifier, {spec.backbone}, {len(spec.labels)} classes, {spec.task}"
    metadata.shortDescription = text.description or f"{text.name or spec.name}: {said}"
    metadata.versionString = text.version or str(provenance.get("toolkit", ""))
    metadata.author = text.author or str(provenance.get("author", ""))
    metadata.license = text.license or str(provenance.get("license", ""))
    metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    metadata.userDefined[SPEC_FILE_NAME] = spec.to_json()
    pixels = spec.preprocessing
    description.input[0].shortDescription = f"Picture of {pixels.width} x {pixels.height} pixels"
    for output in description.output:
        is_label = output.name == description.predictedFeatureName
        output.shortDescription = "The likeliest class" if is_label else "Score of each class, 0 to 1"


def _number_names(program: Any) -> None:
    """Name what flows between the operations by their order: coremltools numbers some names by chance."""
    for function in program.functions.values():
        for block in function.block_specializations.values():
            if any(operation.blocks for operation in block.operations):
                continue
            names = {value.name: value.name for value in function.inputs} | {name: name for name in block.outputs}
            for number, operation in enumerate(block.operations):
                for place, output in enumerate(operation.outputs):
                    output.name = names.setdefault(output.name, f"{operation.type}_{number}_{place}")
                if "name" in operation.attributes:
                    title = operation.attributes["name"].immediateValue.tensor.strings
                    title.values[:] = [f"{operation.type}_{number}"]
                for argument in operation.inputs.values():
                    for binding in argument.arguments:
                        if binding.WhichOneof("binding") == "name":
                            binding.name = names[binding.name]


def _write_package(folder: Path, content: Any, weights: Mapping[str, bytes]) -> None:
    """Write the package's files: as coremltools does, but the same bytes for the same model."""
    data = folder / "Data" / "com.apple.CoreML"
    (data / "weights").mkdir(parents=True)
    (data / "model.mlmodel").write_bytes(content.SerializeToString(deterministic=True))
    for name, stored in weights.items():
        (data / "weights" / name).write_bytes(stored)
    items = {
        str(uuid.uuid5(_NAMESPACE, name)): {
            "author": "com.apple.CoreML",
            "description": f"CoreML Model {kind}",
            "name": name,
            "path": f"com.apple.CoreML/{name}",
        }
        for name, kind in (("model.mlmodel", "Specification"), ("weights", "Weights"))
    }
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": items,
        "rootModelIdentifier": str(uuid.uuid5(_NAMESPACE, "model.mlmodel")),
    }
    (folder / "Manifest.json").write_text(json.dumps(manifest, indent=4) + "\n", encoding="utf-8")


def _import_coremltools() -> Any:
    import_tensorflow()
    try:
        import coremltools
    except ImportError as error:
        raise MissingPackageError(f"--formats coreml needs {error.name or 'coremltools'}: {_INSTALL}") from error
    return coremltools


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without the log of what a Mac would have."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TensorFlow releases that coremltools was not tried with
            yield
    finally:
        logging.disable(before)
