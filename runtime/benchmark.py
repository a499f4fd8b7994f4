"""``runtime benchmark``: what a model costs on this device, stage by stage."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from runtime.answers import STAGES, AnswerRules
from runtime.child import ChildDied, Tell, run_in_child
from runtime.contract import read_contract
from runtime.doctor.finding import Device
from runtime.errors import ImageError, ModelError, UsageError
from runtime.file_kind import shown
from runtime.images import find_images, jpeg_bytes, read_image_bytes
from runtime.interpreter import interpreter_name
from runtime.load_request import LoadRequest
from runtime.model_file import ModelFile
from runtime.peak_memory import forget_peak, peak_memory, resident_memory
from runtime.processors import processors
from runtime.trial import try_model

# Without pictures of the user's: so large, and as JPEG, like a small camera's.
_WIDTH, _HEIGHT, _QUALITY, _DRAWN = 640, 480, 90, 8
# Seconds for one number of threads: a large model on a slow device.
_PATIENCE = 1800.0


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured.

    Attributes:
        request: the model and how it is loaded; where ``threads`` is None, each number from 1 to that of the
            processors is measured, up to 8.
        baseline: the same for a model to compare with; its ``threads`` are those of ``request``.
        images: pictures and folders of them; empty draws some.
        runs: answers measured for each number of threads.
        warm_up: answers before them that do not count.
        rounds: into how many parts the runs fall, between which the models take turns.
    """

    request: LoadRequest
    baseline: LoadRequest | None = None
    images: tuple[Path, ...] = ()
    runs: int = 100
    warm_up: int = 5
    rounds: int = 3


@dataclass(frozen=True)
class Spread:
    """How long a stage took, milliseconds."""

    mean: float
    median: float
    p90: float
    p99: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Of single times, milliseconds."""
        median, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)))
        return cls(float(np.mean(samples)), median, p90, p99)


@dataclass
class Measurements:
    """Of one model with one number of threads.

    Attributes:
        threads: of the interpreter.
        load: milliseconds to a classifier that is ready, for each round.
        first: milliseconds of the first answer, for each round.
        stages: milliseconds of each stage of each answer.
        loaded_bytes: resident memory that the loaded model added, largest of the rounds.
        peak_bytes: the same at the peak, while answers were given; None where the system does not say.
    """

    threads: int
    load: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STAGES})
    loaded_bytes: int | None = None
    peak_bytes: int | None = None

    def add(self, found: dict[str, Any]) -> None:
        """One round's, as ``measure`` gives it."""
        self.load.append(found["load"])
        self.first.append(found["first"])
        for name in STAGES:
            self.stages[name] += found[name]
        self.loaded_bytes = _larger(self.loaded_bytes, found["loaded_bytes"])
        self.peak_bytes = _larger(self.peak_bytes, found["peak_bytes"])

    @property
    def in_all(self) -> list[float]:
        """Milliseconds of each answer, all stages together."""
        return [sum(parts) for parts in zip(*self.stages.values(), strict=True)]


@dataclass(frozen=True)
class ModelReport:
    """Of one model.

    Attributes:
        file: what it holds.
        measured: for each number of threads, ascending.
    """

    file: ModelFile
    measured: tuple[Measurements, ...]

    @property
    def best(self) -> Measurements:
        """The number of threads with the quickest forward pass, by the median."""
        return min(self.measured, key=lambda m: Spread.of(m.stages["invoke"]).median)


@dataclass(frozen=True)
class BenchmarkReport:
    """All that was measured.

    Attributes:
        model: the model's.
        baseline: of the one to compare with.
        pictures: what was classified, for people.
        device: what it was measured on.
    """

    model: ModelReport
    baseline: ModelReport | None
    pictures: str
    device: dict[str, Any]


def benchmark(options: BenchmarkOptions) -> BenchmarkReport:
    """Measure a model, and another beside it; each number of threads and round in a process of its own.

    Raises:
        ModelError: a model cannot be loaded, fails or crashes.
        UsageError: no picture among the images.
        MissingPackageError: no interpreter is installed.
    """
    images = _image_paths(options.images, options.runs)
    orders = [options.request] + ([options.baseline] if options.baseline is not None else [])
    files = [read_contract(order.path, order.overrides).file for order in orders]
    for order in orders:
        if order.delegate is not None:
            try_model(order)
    threads = options.request.threads
    numbers = [threads] if threads is not None else list(range(1, min(8, processors()) + 1))
    measured = [[Measurements(number) for number in numbers] for _ in orders]
    rounds = min(options.rounds, options.runs)
    for turn in range(rounds):
        runs = options.runs * (turn + 1) // rounds - options.runs * turn // rounds
        for place, number in enumerate(numbers):
            for order, results in zip(orders, measured, strict=True):
                request = replace(order, threads=number).to_json()
                results[place].add(_in_child(order, request | _work(options, images, runs)))
    reports = [ModelReport(file, tuple(results)) for file, results in zip(files, measured, strict=True)]
    pictures = (
        f"{len(images)} pictures of {', '.join(shown(path) for path in options.images)}"
        if images
        else f"{_DRAWN} drawn pictures, JPEG {_WIDTH} x {_HEIGHT}"
    )
    return BenchmarkReport(reports[0], reports[1] if len(reports) > 1 else None, pictures, _device())


def _work(options: BenchmarkOptions, images: Sequence[Path], runs: int) -> dict[str, Any]:
    return {"images": [str(path.absolute()) for path in images], "runs": runs, "warm_up": options.warm_up}


def _in_child(order: LoadRequest, request: dict[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = run_in_child("runtime.benchmark:measure", request, _PATIENCE)
    except ChildDied as death:
        raise ModelError(
            f"{shown(order.path)}: the process that measured it {death.how} {death.words}".strip()
        ) from death
    return found


def measure(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """The child's work: load once, classify, count time and memory."""
    order = LoadRequest.from_json(request)
    paths = [Path(path) for path in request["images"]]
    drawn = [] if paths else _draw()
    interpreter_name()  # its import is no part of loading a model
    forget_peak()
    before = resident_memory()
    started = time.perf_counter()
    classifier = order.load()
    load = (time.perf_counter() - started) * 1000
    loaded = resident_memory()
    rules = AnswerRules()
    times: dict[str, list[float]] = {name: [] for name in STAGES}
    first = 0.0
    for number in range(-request["warm_up"] - 1, request["runs"]):
        picture = read_image_bytes(paths[number % len(paths)]) if paths else drawn[number % len(drawn)]
        started = time.perf_counter()
        stages = classifier.look(classifier.prepare(picture), rules)[0].milliseconds
        if number == -request["warm_up"] - 1:
            first = (time.perf_counter() - started) * 1000
        if number >= 0:
            for name in STAGES:
                times[name].append(getattr(stages, name))
    peak = peak_memory()
    return {
        "load": load,
        "first": first,
        "loaded_bytes": None if before is None or loaded is None else loaded - before,
        "peak_bytes": None if before is None or peak is None else peak - before,
        **times,
    }


def _image_paths(named: Sequence[Path], most: int) -> list[Path]:
    """The first pictures that can be used, of files and folders."""
    from runtime.pictures import decode_bytes

    good: list[Path] = []
    for path in named:
        if not path.exists():
            raise UsageError(f"--images {shown(path)}: no such file or folder")
        for image in find_images(path) if path.is_dir() else [path]:
            try:
                decode_bytes(read_image_bytes(image), image)
            except ImageError:
                if image == path:
                    raise
                continue
            good.append(image)
            if len(good) == most:
                return good
    if named and not good:
        raise UsageError(f"--images {', '.join(shown(path) for path in named)}: no pictures that can be used")
    return good


def _draw() -> list[bytes]:
    """Smooth colours with noise over them, the same each time: they cost a decoder about what photographs do."""
    from PIL import Image

    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWN):
        coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8))
        smooth = np.asarray(coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), np.int16)
        noisy = smooth + generator.integers(-12, 13, smooth.shape, np.int16)
        drawn.append(jpeg_bytes(Image.fromarray(noisy.clip(0, 255).astype(np.uint8)), _QUALITY))
    return drawn


def _device() -> dict[str, Any]:
    return {
        "board": Device().board,
        "machine": platform.machine(),
        "processors": processors(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "interpreter": interpreter_name(),
    }


def _larger(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
