"""The contract that travels from training to the device: frozen dataclasses, JSON with ``schema_version``."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from runtime.errors import ModelError

#: Version of the JSON that ``ModelSpec.to_json`` writes. A reader refuses a higher one. 2 added ``unknown_below``.
SCHEMA_VERSION = 2
#: Name of the spec in a bundle's folder and in the zip appended to a ``.tflite`` file.
SPEC_FILE_NAME = "spec.json"

ResizePolicy = Literal["stretch", "center-crop"]
ResampleFilter = Literal["bilinear", "tf-bilinear", "nearest", "bicubic", "lanczos"]
ChannelOrder = Literal["RGB", "BGR"]
Task = Literal["single-label", "multi-label"]

# Control characters (Unicode's category Cc), and its two separators of lines and paragraphs.
_BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

RESAMPLE_FILTERS: tuple[str, ...] = get_args(ResampleFilter)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ModelError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


@dataclass(frozen=True)
class Preprocessing:
    """The only description of how pixels become a tensor.

    Attributes:
        height: of the model's input, pixels.
        width: of the model's input, pixels.
        resize: ``stretch`` the whole picture, or ``center-crop`` the largest centred window of the input's
            aspect ratio, ``crop_fraction`` of it.
        crop_fraction: side of the window relative to the largest possible one, (0, 1].
        resample: ``bilinear``, ``bicubic``, ``lanczos`` are Pillow's and antialias; ``nearest`` is Pillow's;
            ``tf-bilinear`` is TensorFlow's ``tf.image.resize`` (half-pixel centres, no antialias).
        mean: subtracted from each 0..255 channel value.
        std: what the difference is divided by.
        channel_order: of the tensor's last axis.
    """

    height: int
    width: int
    resize: ResizePolicy = "stretch"
    crop_fraction: float = 1.0
    resample: ResampleFilter = "bilinear"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)
    channel_order: ChannelOrder = "RGB"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= 8192:
                raise ModelError(f"preprocessing {name} must be 1 to 8192 pixels; got {value!r}")
        _check_choice("resize", self.resize, get_args(ResizePolicy))
        _check_choice("resample", self.resample, RESAMPLE_FILTERS)
        _check_choice("channel_order", self.channel_order, get_args(ChannelOrder))
        if not 0 < self.crop_fraction <= 1:
            raise ModelError(f"crop_fraction must be above 0 and at most 1; got {self.crop_fraction!r}")
        for name in ("mean", "std"):
            object.__setattr__(self, name, _three_numbers(name, getattr(self, name)))
        if min(self.std) <= 0:
            raise ModelError(f"std must be positive; got {self.std!r}")

    def digest(self) -> str:
        """Hex sha256 of all fields: two preprocessings with one digest give the same tensor."""
        import hashlib

        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def _three_numbers(name: str, value: Any) -> tuple[float, float, float]:
    """One number, or one a channel, as three finite floats."""
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(values) == 1:
        values *= 3
    good = len(values) == 3 and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not good:
        raise ModelError(f"{name} must be one finite number or one for each of three channels; got {value!r}")
    return (float(values[0]), float(values[1]), float(values[2]))


@dataclass(frozen=True)
class LabelList:
    """The classes' names: not empty, unique, verbatim; the position is the class id."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = tuple(self.names)
        object.__setattr__(self, "names", names)
        if not names:
            raise ModelError("a label list must not be empty")
        if not all(isinstance(n, str) and n for n in names):
            raise ModelError("every label must be a non-empty text")
        if len(set(names)) != len(names):
            twice = sorted(name for name, count in Counter(names).items() if count > 1)
            raise ModelError(f"labels must be unique; these are not: {', '.join(map(repr, twice[:5]))}")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, class_id: int) -> str:
        return self.names[class_id]

    def as_lines(self) -> str:
        r"""One label a line, as a ``labels.txt`` holds them.

        Control characters and line separators, which would break a line or a terminal, are written as Python's escapes
        (``two\nlines``); everything else is verbatim.
        """
        return "".join(f"{_BREAKING.sub(_escape, name)}\n" for name in self.names)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


@dataclass(frozen=True)
class ModelSpec:
    """What a model is and how to use it.

    Attributes:
        name: of the model, for people and file names.
        backbone: architecture name, as ``toolkit architectures`` lists it.
        task: ``single-label`` scores add up to 1; ``multi-label`` scores are independent.
        preprocessing: how pixels become the input tensor.
        labels: the classes.
        calibration: of the scores; empty means that the model's output is used as it is.
        thresholds: label -> least score that counts as an answer; empty means none.
        unknown_below: the answer is "unknown" where the best score of a single-label model is lower; 0 means never.
        provenance: digests, versions and options that made the model.
    """

    name: str
    backbone: str
    task: Task
    preprocessing: Preprocessing
    labels: LabelList
    calibration: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    unknown_below: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_choice("task", self.task, get_args(Task))
        for name, value in {"unknown_below": self.unknown_below, **self.thresholds}.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise ModelError(f"the score threshold {name!r} must be 0 to 1; got {value!r}")
        if strange := sorted(set(self.thresholds) - set(self.labels)):
            raise ModelError(f"a score threshold for {strange[0]!r}, which is no label of the model")

    def least_scores(self) -> tuple[float, ...]:
        """The score from which on each class counts as an answer, 0..1, one for each class."""
        return tuple(max(self.unknown_below, self.thresholds.get(label, 0.0)) for label in self.labels)

    def to_json(self) -> str:
        """UTF-8 text with sorted keys: one spec always gives the same bytes."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "backbone": self.backbone,
            "task": self.task,
            "preprocessing": asdict(self.preprocessing),
            "labels": list(self.labels),
            "calibration": dict(self.calibration),
            "thresholds": dict(self.thresholds),
            "unknown_below": self.unknown_below,
            "provenance": dict(self.provenance),
        }
        return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ModelSpec:
        """Read a spec; unknown keys are left out, so that newer files of one schema version open.

        Raises:
            ModelError: not a spec, a newer schema, or a value out of range.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's {SPEC_FILE_NAME} is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise ModelError(f"the model's {SPEC_FILE_NAME} is not a JSON object")
        version = content.get("schema_version")
        if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
            raise ModelError(
                f"the model's {SPEC_FILE_NAME} has schema version {version!r}; this runtime reads 1 to "
                f"{SCHEMA_VERSION}: install a newer edge-export-toolkit"
            )
        try:
            known = {f.name for f in fields(Preprocessing)}
            pixels = {k: v for k, v in dict(content["preprocessing"]).items() if k in known}
            return cls(
                name=str(content["name"]),
                backbone=str(content["backbone"]),
                task=content["task"],
                preprocessing=Preprocessing(**pixels),
                labels=LabelList(tuple(content["labels"])),
                calibration=dict(content.get("calibration", {})),
                thresholds=dict(content.get("thresholds", {})),
                unknown_below=content.get("unknown_below", 0.0),
                provenance=dict(content.get("provenance", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's {SPEC_FILE_NAME} is incomplete or damaged: {error!r}") from error
