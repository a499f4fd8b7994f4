"""How to use a ``.tflite`` file: from our spec in it, its standard metadata, or what the user says."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from runtime.associated_files import MAX_ASSOCIATED_BYTES, find_spec
from runtime.errors import ModelError, UsageError, counted
from runtime.file_kind import looks_like, shown
from runtime.files import read_file
from runtime.model_file import ModelFile
from runtime.spec import ModelSpec, Preprocessing, ResampleFilter, Task

if TYPE_CHECKING:  # a file with our spec needs no other metadata, and does not wait for their reader
    from runtime.metadata import ModelMetadata

#: Who said how pixels are normalised.
Origin = Literal["spec", "metadata", "options", "input type"]
_INPUT_DTYPES = ("uint8", "int8", "float32")
_OUTPUT_DTYPES = ("uint8", "int8", "int16", "float32")


class Overrides(NamedTuple):
    """What the user says about a model that does not say it itself; None leaves it to the file.

    Attributes:
        labels: a file with one label a line.
        mean: subtracted from 0..255 pixels; one number, or three.
        std: what the difference is divided by; one number, or three.
        resample: resize filter.
    """

    labels: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resample: ResampleFilter | None = None


@dataclass(frozen=True)
class ModelContract:
    """All that is needed to classify with a file.

    Attributes:
        file: what the model holds.
        spec: ours, where the file carries it.
        metadata: the standard TFLite Metadata, where the file carries it.
        preprocessing: how pixels become the input.
        normalization_from: who said mean and std.
        labels: one for each score; the class id where the file names none.
        labels_from: where they come from, for people.
        task: of the scores.
        warnings: one line for each thing the user should know.
    """

    file: ModelFile
    spec: ModelSpec | None
    metadata: ModelMetadata | None
    preprocessing: Preprocessing
    normalization_from: Origin
    labels: tuple[str, ...]
    labels_from: str
    task: Task
    warnings: tuple[str, ...]

    @property
    def gives_probabilities(self) -> bool | None:
        """Whether the output needs no softmax; None leaves it to the numbers.

        Our files give scores from 0 to 1, whichever operator makes them.
        """
        known = self.file.output_is_probability
        return None if self.spec is not None and known is False else known

    @property
    def least_scores(self) -> tuple[float, ...]:
        """The score from which on each class counts as an answer, 0..1, for each class."""
        if self.spec is not None:
            return self.spec.least_scores()
        return (0.0,) * len(self.labels)


def read_contract(path: Path, overrides: Overrides | None = None) -> ModelContract:
    """Find out how to use a model, without loading it into an interpreter.

    Args:
        path: of a ``.tflite`` file.
        overrides: the user's word, which goes before the file's.

    Raises:
        ModelError: no TFLite model, no picture classifier, or labels that do not fit.
        UsageError: nobody says how to normalise pixels for a float input.
    """
    overrides = overrides or Overrides()
    file = ModelFile.read(path)
    height, width = _input_size(file)
    classes = _class_count(file)
    blob = find_spec(path)
    spec = ModelSpec.from_json(blob) if blob is not None else None
    metadata = _metadata(file) if spec is None else None
    preprocessing = spec.preprocessing if spec else Preprocessing(height, width)
    if (preprocessing.height, preprocessing.width) != (height, width):
        raise ModelError(
            f"{shown(path)}: its spec says {preprocessing.width} x {preprocessing.height} pixels, "
            f"its input takes {width} x {height}"
        )
    preprocessing, origin = _normalization(file, preprocessing, spec, metadata, overrides)
    if overrides.resample is not None:
        preprocessing = replace(preprocessing, resample=overrides.resample)
    labels, labels_from, warnings = _labels(file, spec, classes, overrides)
    if spec is None:
        from runtime.missing_archive import missing_archive

        if missing := missing_archive(file):
            by_number = "; classes are shown by number" if labels_from == "none" else ""
            warnings = [f"{shown(path)}: {missing}{by_number}"]  # which tells why there are no labels
    warnings += [f"{shown(path)}: {problem}" for problem in (metadata.problems if metadata else ())]
    task: Task = spec.task if spec else "single-label"
    return ModelContract(file, spec, metadata, preprocessing, origin, labels, labels_from, task, tuple(warnings))


def _metadata(file: ModelFile) -> ModelMetadata | None:
    from runtime.metadata import read_metadata

    return read_metadata(file)


def _input_size(file: ModelFile) -> tuple[int, int]:
    """Height and width of the one picture input."""
    info = file.inputs[0]
    name = shown(file.path)
    if len(file.inputs) != 1:
        raise ModelError(f"{name}: is no picture classifier: it has {len(file.inputs)} inputs, not one")
    good_shape = len(info.shape) == 4 and info.shape[0] == 1 and info.shape[3] == 3 and min(info.shape) > 0
    if not good_shape:
        raise ModelError(
            f"{name}: is no picture classifier: its input has shape {info.shape}, not (1, height, width, 3)"
        )
    if info.dtype not in _INPUT_DTYPES:
        raise ModelError(f"{name}: its input is {info.dtype}; this runtime feeds {', '.join(_INPUT_DTYPES)}")
    if min(info.shape_signature[1:], default=0) < 0:
        raise ModelError(f"{name}: its input has no fixed height and width; convert it again with a fixed input size")
    return info.shape[1], info.shape[2]


def _class_count(file: ModelFile) -> int:
    name = shown(file.path)
    if len(file.outputs) != 1:
        raise ModelError(f"{name}: is no classifier: it has {len(file.outputs)} outputs, not one row of scores")
    shape, dtype = file.outputs[0].shape, file.outputs[0].dtype
    if not shape or min(shape) < 1 or any(n != 1 for n in shape[:-1]):
        raise ModelError(f"{name}: is no classifier: its output has shape {shape}, not (1, classes)")
    if dtype not in _OUTPUT_DTYPES:
        raise ModelError(f"{name}: is no classifier: its output is {dtype}, not {', '.join(_OUTPUT_DTYPES)}")
    return shape[-1]


def _normalization(
    file: ModelFile,
    preprocessing: Preprocessing,
    spec: ModelSpec | None,
    metadata: ModelMetadata | None,
    overrides: Overrides,
) -> tuple[Preprocessing, Origin]:
    if (overrides.mean is None) != (overrides.std is None):
        raise UsageError("--mean and --std belong together; give both")
    if overrides.mean is not None and overrides.std is not None:
        try:
            return replace(preprocessing, mean=overrides.mean, std=overrides.std), "options"  # type: ignore[arg-type]
        except ModelError as error:
            raise UsageError(f"--mean, --std: {error}") from error
    if spec is not None:
        return preprocessing, "spec"
    said = metadata.normalization if metadata is not None else None
    dtype = file.inputs[0].dtype
    # Bytes go in as they are, which is what the TFLite Task Library does with uint8 whatever the metadata say.
    if dtype == "uint8" or (dtype == "int8" and said is None):
        return preprocessing, "input type"
    if said is not None:
        return replace(preprocessing, mean=said.mean, std=said.std), "metadata"  # type: ignore[arg-type]
    raise UsageError(
        f"{shown(file.path)} does not say how pixels are normalised for its float input: give --mean and --std "
        "(127.5 and 127.5 for MobileNet and Inception, 0 and 255 for TF Hub models, 127 and 128 for EfficientNet-Lite)"
    )


def _labels(
    file: ModelFile, spec: ModelSpec | None, classes: int, overrides: Overrides
) -> tuple[tuple[str, ...], str, list[str]]:
    """Labels, where they come from, and warnings."""
    name = shown(file.path)
    if overrides.labels is not None:
        labels = read_label_file(overrides.labels)
        if len(labels) != classes:
            raise ModelError(
                f"{shown(overrides.labels)} has {counted(len(labels), 'label')}, {name} gives "
                f"{counted(classes, 'score')}; the label file must have one line for each score"
            )
        return labels, str(overrides.labels), []
    if spec is not None:
        if len(spec.labels) != classes:
            raise ModelError(
                f"{name}: its spec has {counted(len(spec.labels), 'label')} for {counted(classes, 'score')}"
            )
        return spec.labels.names, "spec", []
    from runtime.metadata import read_labels

    found = read_labels(file)
    if found.labels is not None and len(found.labels) == classes:
        return found.labels, f"metadata ({found.source})", []
    numbers = tuple(str(class_id) for class_id in range(classes))
    if found.labels is not None:
        warning = (
            f"{name}: its {found.source} has {counted(len(found.labels), 'label')} for {counted(classes, 'score')}"
        )
    else:
        warning = f"{name}: carries no labels" + (f" ({found.reason})" if found.reason else "")
    return numbers, "none", [f"{warning}; classes are shown by number, --labels FILE names them"]


def read_label_file(path: Path) -> tuple[str, ...]:
    """The lines of a label file, verbatim; blank lines at the end do not count.

    Raises:
        UsageError: no such file.
        ModelError: no regular file, unreadable, too large, or not UTF-8 text.
    """
    if not os.path.lexists(path):
        raise UsageError(f"--labels {shown(path)}: no such file")
    data = read_file(path, MAX_ASSOCIATED_BYTES, ModelError)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{shown(path)} is no label file: not UTF-8 text; it looks like {looks_like(data)}") from error
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return tuple(lines)
