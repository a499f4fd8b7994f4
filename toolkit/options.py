"""Everything that a training can be told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from runtime.errors import UsageError
from runtime.spec import Task
from toolkit.backbones.catalog import find_architecture
from toolkit.backbones.pooling import POOLINGS, Pooling
from toolkit.backbones.registry import WeightChoice
from toolkit.extra_outputs import ExtraOutputs
from toolkit.head import HeadOptions
from toolkit.reject import RejectChoice
from toolkit.split import SplitOptions
from toolkit.training.options import LEAST_INPUT, MOST_INPUT, FinetuneOptions
from toolkit.views import MODERN, Augmentation

Mode = Literal["bottleneck", "finetune", "scratch"]

#: Views of each training picture that are cached unless something else is asked for.
DEFAULT_VIEWS = 0
#: The same where a distortion is asked for.
DISTORTED_VIEWS = 5
_MAX_VIEWS = 100
#: Of ``best_settings``: the better of the two networks that need no download, and how much larger than an
#: architecture's own its input is, before it becomes a multiple of 32: 288 pixels for 224.
BEST_ARCHITECTURE, BEST_SCALE = "efficientnet_lite0", 9 / 7
# Of a model's name, bytes: file systems allow 255 for a file name, and exports append to it.
_MAX_NAME_BYTES = 100


@dataclass(frozen=True)
class Reports:
    """What a training by steps says while it runs, as retrain.py did.

    Attributes:
        interval: steps between two reports; None for none.
        validation_batch: pictures drawn for each; -1 takes all.
    """

    interval: int | None = None
    validation_batch: int = 100


@dataclass(frozen=True)
class TrainOptions:
    """Everything that ``toolkit train`` can be told.

    Attributes:
        output_dir: folder of the bundle.
        mode: ``bottleneck`` trains a head on features of the frozen backbone; ``finetune`` goes on with the backbone;
            ``scratch`` trains everything from random weights.
        task: ``single-label``: one class a picture; ``multi-label``: any number.
        architecture: as ``toolkit architectures`` lists them; None takes that of ``earlier``, or the default.
        input_size: height and width of the network's input in pixels; None takes that of ``earlier``, or the
            architecture's own.
        pooling: how the last feature map becomes features; None takes that of ``earlier``, or ``avg``.
        earlier: bundle to go on from: its labels come first, and its pictures are learned again.
        name: of the model, for file names; None takes that of ``earlier``, or the picture folder's name.
        weights: ``imagenet`` or ``none`` (random, to try the mechanics).
        model_dir: folder of weight files that goes before all other places.
        cache_dir: for features, downloads and converted backbones; None takes the user's.
        split: percentages.
        head: how the classifier is trained.
        views: random views of each training picture beside the picture itself; None takes the default.
        augmentation: how views are drawn; None takes ``views.MODERN``.
        reject: when the answer is "unknown"; see ``toolkit.reject``.
        calibration_images: number of training pictures kept for quantisation.
        seed: of random weights, the order of training pictures, views and the choice of calibration pictures.
        tuning: how the network is trained; for the modes ``finetune`` and ``scratch``.
        resume: go on where a training of the network was ended; False begins anew.
        near_duplicates: keep pictures that look the same in one share.
        reports: of a training by steps.
        outputs: files beside the bundle.
        command: as it was typed, for the report.
    """

    output_dir: Path = Path("model")
    architecture: str | None = None
    mode: Mode = "bottleneck"
    task: Task = "single-label"
    input_size: int | None = None
    pooling: Pooling | None = None
    earlier: Path | None = None
    name: str | None = None
    weights: WeightChoice = "imagenet"
    model_dir: Path | None = None
    cache_dir: Path | None = None
    split: SplitOptions = field(default_factory=SplitOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    views: int | None = None
    augmentation: Augmentation | None = None
    reject: RejectChoice | float = "auto"
    calibration_images: int = 200
    seed: int = 0
    tuning: FinetuneOptions = field(default_factory=FinetuneOptions)
    resume: bool = True
    near_duplicates: bool = True
    reports: Reports = field(default_factory=Reports)
    outputs: ExtraOutputs = field(default_factory=ExtraOutputs)
    command: str = ""

    def __post_init__(self) -> None:
        for name, value, choices in (("mode", self.mode, get_args(Mode)), ("task", self.task, get_args(Task))):
            if value not in choices:
                raise UsageError(f"the {name} must be one of {', '.join(choices)}, not {value!r}")
        if self.pooling not in (None, *POOLINGS):
            raise UsageError(f"the pooling must be one of {', '.join(POOLINGS)}, not {self.pooling!r}")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"--seed must be 0 or more and less than 2**32, not {self.seed}")
        if self.calibration_images < 1:
            raise UsageError(f"the number of calibration images must be 1 or more, not {self.calibration_images}")
        if self.input_size is not None and not LEAST_INPUT <= self.input_size <= MOST_INPUT:
            raise UsageError(f"--input-size must be {LEAST_INPUT} to {MOST_INPUT} pixels, not {self.input_size}")
        if self.views is not None and not 0 <= self.views <= _MAX_VIEWS:
            raise UsageError(f"--views must be 0 to {_MAX_VIEWS}, not {self.views}")
        if self.name is not None and (not self.name or self.name != file_name(self.name)):
            suggestion = file_name(self.name) or "model"
            raise UsageError(f"the name {self.name!r} cannot be part of a file name; {suggestion!r} could")

    @property
    def view_count(self) -> int:
        """Views of each training picture beside the picture itself."""
        if self.views is not None:
            return self.views
        return DEFAULT_VIEWS if self.augmentation is None else DISTORTED_VIEWS

    @property
    def drawn(self) -> Augmentation:
        """How views are drawn."""
        return MODERN if self.augmentation is None else self.augmentation


def file_name(name: str) -> str:
    """A name without what file systems, shells and text files trip over; may be empty."""
    printable = "".join(c if c.isprintable() else "_" for c in name)
    safe = re.sub(r"[\s/\\:*?\"<>|]+", "_", printable).strip("._").lstrip("-")
    return safe.encode()[:_MAX_NAME_BYTES].decode(errors="ignore")


def best_settings(options: TrainOptions) -> TrainOptions:
    """The options, with what did best where they leave the network open: which, how large its input, its pool.

    Measured on photographs that no part of the training had seen; docs/training.md has the figures.

    Args:
        options: what they say stays.

    Raises:
        UsageError: they go on from a bundle, which decides all that, or name an architecture that is not known.
    """
    if options.earlier is not None:
        raise UsageError("--best chooses the network, and --from brings one; leave one of them out")
    architecture = find_architecture(options.architecture or BEST_ARCHITECTURE)
    size = options.input_size or round(architecture.input_size * BEST_SCALE / LEAST_INPUT) * LEAST_INPUT
    tuning = options.tuning
    if options.mode == "finetune" and tuning.train_size is None:
        tuning = replace(tuning, train_size=min(size, architecture.input_size))
    pooling = options.pooling or "avg-max"
    return replace(options, architecture=architecture.name, input_size=size, pooling=pooling, tuning=tuning)
