"""``--autotune``: which number of threads, and XNNPACK on or off, is quickest on this device, by measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.child import ChildDied, Tell, run_in_child
from runtime.classifier import Classifier, Prepared
from runtime.errors import ModelError
from runtime.file_kind import shown
from runtime.interpreter import interpreter_version
from runtime.load_request import LoadRequest
from runtime.processors import processors
from runtime.xnnpack import Xnnpack

# Threads tried at most: small models gain nothing beyond (``interpreter.default_threads``).
_MOST_THREADS = 4
# Each way is run for so many seconds, but not fewer and not more times than these.
_SECONDS, _FEWEST, _MOST = 0.3, 3, 40
# A way must be so much quicker than one with fewer threads: a thread that brings nothing costs power and heat.
_GAIN = 0.95
# How far scores, 0..1, may lie from the first way's: kernels round differently, but not by more.
_SAME = 0.1
# Seconds for all of it: a large model on a slow device.
_PATIENCE = 300.0


@dataclass(frozen=True)
class Measured:
    """One way to run a model.

    Attributes:
        threads: of the interpreter.
        xnnpack: see ``Xnnpack``.
        milliseconds: of the quickest forward pass.
    """

    threads: int
    xnnpack: Xnnpack
    milliseconds: float

    def words(self) -> str:
        """For people."""
        return f"{self.threads} thread{'s' * (self.threads > 1)}, XNNPACK {self.xnnpack}: {self.milliseconds:.1f} ms"


@dataclass(frozen=True)
class Tuning:
    """What was measured, and what is best.

    Attributes:
        best: the way to take.
        tried: all of them, in the order of measuring.
    """

    best: Measured
    tried: tuple[Measured, ...]

    @property
    def threads(self) -> int:
        """Of the best way."""
        return self.best.threads

    @property
    def xnnpack(self) -> Xnnpack:
        """Of the best way."""
        return self.best.xnnpack

    def applied(self, request: LoadRequest) -> LoadRequest:
        """The request, with the best way."""
        return replace(request, threads=self.best.threads, xnnpack=self.best.xnnpack)

    def text(self) -> str:
        """One line for people: the best way, how to say it without measuring, and the others."""
        others = "; ".join(way.words() for way in self.tried if way is not self.best)
        return (
            f"{self.best.words()} a picture (--threads {self.threads} --xnnpack {self.xnnpack} says so without "
            "measuring)" + (f"; {others}" if others else "")
        )


def tune(request: LoadRequest) -> Tuning:
    """Measure, in a child process: nothing of it stays in this one, and a way that crashes is left out.

    Args:
        request: which model. Where ``threads`` is None, 1 to 4 are tried, as far as there are processors; where
            ``xnnpack`` is ``auto``, all that differ.

    Raises:
        ModelError: the model runs in none of these ways.
        MissingPackageError: no interpreter is installed.
    """
    words = ""
    try:
        tried = [Measured(*way) for way in run_in_child("runtime.autotune:measure", request.to_json(), _PATIENCE)]
    except ChildDied as death:
        tried, words = [Measured(*way) for way in death.told], f": {death.how}"
    if not tried:
        raise ModelError(f"{shown(request.path)}: --autotune could not run the model{words}; leave the option out")
    return Tuning(_best(tried), tuple(tried))


def measure(request: dict[str, Any], tell: Tell) -> list[tuple[int, Xnnpack, float]]:
    """The child's work: every way that was measured."""
    order = LoadRequest.from_json(request)
    numbers = [order.threads] if order.threads else list(range(1, min(_MOST_THREADS, processors()) + 1))
    kinds = _kinds(order)
    first: list[NDArray[np.float32]] = []
    found: list[Measured] = []

    def attempt(threads: int, xnnpack: Xnnpack) -> None:
        try:
            classifier = replace(order, threads=threads, xnnpack=xnnpack).load()
        except ModelError:
            if found:
                return  # this way the interpreter does not take the model
            raise
        scores, milliseconds = _time(classifier)
        first.append(scores)
        if float(np.abs(scores - first[0]).max()) <= _SAME:
            found.append(Measured(threads, xnnpack, milliseconds))
            tell([threads, xnnpack, milliseconds])

    for threads in numbers:
        attempt(threads, kinds[0])
    for xnnpack in kinds[1:]:
        usual = _best(found)
        attempt(usual.threads, xnnpack)
        if _best(found).xnnpack == xnnpack:  # then other numbers of threads may be best
            for threads in numbers:
                if threads != usual.threads:
                    attempt(threads, xnnpack)
    return [(way.threads, way.xnnpack, way.milliseconds) for way in found]


def _kinds(order: LoadRequest) -> tuple[Xnnpack, ...]:
    """The choices of XNNPACK that differ on this interpreter."""
    if order.xnnpack != "auto":
        return (order.xnnpack,)
    return ("auto", "on", "off") if interpreter_version()[0] == "tflite-runtime" else ("auto", "off")


def _time(classifier: Classifier) -> tuple[NDArray[np.float32], float]:
    """Scores of a seeded picture of noise, and the milliseconds of its quickest forward pass."""
    _, height, width, _ = classifier.model.input_shape
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    prepared = Prepared(classifier.tensor(noise), 0.0, 0.0)
    scores, _ = classifier.run(prepared)  # the first pass is a slow one
    times: list[float] = []
    while len(times) < _FEWEST or (len(times) < _MOST and sum(times) < _SECONDS * 1000):
        times.append(classifier.run(prepared)[1])
    return scores, min(times)


def _best(ways: Sequence[Measured]) -> Measured:
    """The quickest; of several that are about as quick the one with the fewest threads, then the one tried first."""
    limit = min(way.milliseconds for way in ways) / _GAIN
    return min((way for way in ways if way.milliseconds <= limit), key=lambda way: way.threads)
