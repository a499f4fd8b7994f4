"""When int8 costs too much accuracy: other ways, in order, until one does not.

The cheap ones that stay int8 come first, then those that keep some layers wider, 16-bit activations, and, where the
caller has it done, finetuning. Each is measured; the smallest file within the limit is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.bias_correction import correct_biases
from converters.formats.float16 import to_float16
from converters.formats.tflite import quantize_int8
from converters.kinds import InOut
from converters.loss import Loss
from converters.quantization.choice import Attempt, Choice, Kind, Tried, choose
from converters.quantization.float_layers import layers_to_keep
from converters.quantization.layer_errors import layer_errors
from converters.quantization.typical_ranges import typical_ranges
from converters.quantization.wide_activations import corrected_int16x8
from converters.ranges import Ranges, measure_ranges
from runtime.errors import EdgeExportError, ModelError, first_line
from runtime.spec import Preprocessing

#: Layers that a mixed model keeps wider, worst first: these many are tried.
MIXED_STEPS = (1, 2, 4, 8)
# Pictures that biases are corrected on: of hundreds, so many tell the same.
_CORRECTED_ON = 64


def _ignore(_message: str) -> None:
    """Nobody asked."""


@dataclass(frozen=True)
class Request:
    """What to quantise, and with what.

    Attributes:
        float32: a ``.tflite`` file: normalised float32 (1, height, width, 3) -> scores.
        images: calibration pictures, (count, height, width, 3), 0..255; never check pictures.
        preprocessing: of the model.
        in_out: what an int8 file takes and gives.
        ranges: of ``float32`` on ``images`` where they are measured already.
        first: the int8 file of ``images`` where it is made already.
        more_images: further calibration pictures and ``images``; None where ``images`` are all.
        balance: gives a network that answers the same and has channels of like size; None where it has already.
        integers_only: whether nothing else will do as long as an int8 file may be kept.
        finetune: gives a float network that answers as well when it is rounded, and its ranges; None leaves it.
    """

    float32: bytes
    images: NDArray[Any]
    preprocessing: Preprocessing
    in_out: InOut = "uint8"
    ranges: Ranges | None = None
    first: bytes | None = None
    more_images: NDArray[Any] | None = None
    balance: Callable[[bytes, NDArray[Any], Preprocessing], bytes | None] | None = None
    integers_only: bool = False
    finetune: Callable[[bytes, NDArray[Any], Ranges], tuple[bytes, Ranges]] | None = None


@dataclass(frozen=True)
class _Way:
    """One way, and what makes the file; ``names`` as in ``Attempt.kept_wide``."""

    scheme: str
    kind: Kind
    make: Callable[[], bytes]
    names: tuple[str, ...] = ()


def best_int8(
    request: Request, judge: Callable[[bytes, Kind], Loss], limit: float, notify: Callable[[str], None] = _ignore
) -> Choice:
    """Quantise with as little loss as is asked.

    Args:
        request: what to quantise.
        judge: measures a file of a kind on the check pictures; raises where it may not be handed over at all.
        limit: points that it may lose.
        notify: is told in one line what is tried and what came of it.

    Returns:
        The smallest file within the limit; else the smallest of those whose loss may be chance; else the one that
        misses it least, whose attempt may not be accepted.

    Raises:
        ModelError: not even plain int8 could be made.
    """
    tried = Tried()
    ladder = _Ladder(request)
    _climb(ladder, ladder.integer_ways(), judge, limit, notify, tried)
    # In order of what they cost the device: 16-bit activations take tens of times as long on most processors.
    for ways in (ladder.mixed_ways, ladder.wide_ways):
        if not (_within(tried, limit) or (request.integers_only and any(a.accepted for a in tried.attempts))):
            _climb(ladder, ways(), judge, limit, notify, tried)
    if "int8" not in _within(tried, limit):
        _climb(ladder, ladder.finetuned_ways(), judge, limit, notify, tried)
    if not any(tried.files):
        raise ModelError(f"no integer file can be made: {tried.attempts[0].error}")
    return choose(tried, limit)


def _within(tried: Tried, limit: float) -> set[Kind]:
    """The kinds of the files that lose no more than they may."""
    return {attempt.kind for attempt in tried.attempts if attempt.loss is not None and attempt.loss.is_within(limit)}


def _climb(
    ladder: _Ladder,
    ways: Iterator[_Way],
    judge: Callable[[bytes, Kind], Loss],
    limit: float,
    notify: Callable[[str], None],
    tried: Tried,
) -> None:
    """Try ways, one after the other; stop at the first within the limit."""
    for way in ways:
        try:
            content = way.make()
            loss = judge(content, way.kind)
        except Exception as error:  # whatever comes up in TensorFlow, or an interpreter that refuses the file
            notify(f"{way.scheme}: cannot be made: {first_line(error)}")
            content, attempt = b"", Attempt(way.scheme, way.kind, 0, None, first_line(error), kept_wide=way.names)
        else:
            accepted = loss.is_accepted(limit)
            attempt = Attempt(way.scheme, way.kind, len(content), loss, "", accepted, way.names)
            notify(f"{way.scheme}: {loss}, {len(content) / 1e6:.2f} MB")
        tried.attempts.append(attempt)
        tried.files.append(content)
        tried.networks.append(ladder.made_from)
        if attempt.loss is not None and attempt.loss.is_within(limit):
            return


class _Ladder:
    """The ways, made one by one as they are asked for.

    Attributes:
        made_from: the float network of the file that was made last.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._float32, self._images = request.float32, request.images
        self._ranges = request.ranges or measure_ranges(request.float32, request.images, request.preprocessing)
        self._int8 = request.first
        self.made_from = request.float32

    def _start_from(self, float32: bytes, images: NDArray[Any]) -> None:
        self._float32, self._images, self._int8 = float32, images, None
        self.made_from = float32
        self._ranges = measure_ranges(float32, images, self._request.preprocessing)

    def integer_ways(self) -> Iterator[_Way]:
        """Files that hold nothing but integers, of one size."""
        yield _Way("int8", "int8", self._plain)
        balanced = self._balanced()
        if balanced is not None:  # answers the same: from here on it takes the network's place
            self._start_from(balanced, self._images)
            yield _Way("int8, wild channels balanced", "int8", self._plain)
        more = self._request.more_images
        if more is not None and len(more) > len(self._images):
            self._start_from(self._float32, more)
            yield _Way(f"int8, {len(more)} calibration pictures", "int8", self._plain)
        yield _Way("int8, odd pictures clipped", "int8", self._clipped)

    def mixed_ways(self) -> Iterator[_Way]:
        """More and more of the worst layers in float, their weights in float16."""
        # Without corrected biases: those of a layer behind a broken one make up for it, and look wrong by themselves.
        uncorrected = quantize_int8(self._float32, self._ranges)
        errors = layer_errors(uncorrected, self._float32, self._images, self._request.preprocessing)
        seen: set[frozenset[str]] = set()
        for count in MIXED_STEPS:
            names = layers_to_keep(self._float32, errors, count)
            if names and names not in seen:
                seen.add(names)
                scheme = f"int8, {len(names)} layers in float"
                yield _Way(scheme, "mixed", partial(self._mixed, names), tuple(sorted(names)))

    def wide_ways(self) -> Iterator[_Way]:
        """16-bit activations."""
        yield _Way("int16x8", "int16x8", self._sixteen)

    def finetuned_ways(self) -> Iterator[_Way]:
        """int8 once more, of weights that have learned to be rounded, where the caller has that done."""
        if self._request.finetune is not None:
            yield _Way("int8, finetuned", "int8", self._finetuned)

    def _balanced(self) -> bytes | None:
        if self._request.balance is None:
            return None
        try:
            return self._request.balance(self._float32, self._images, self._request.preprocessing)
        except EdgeExportError:  # a network with operators that are not known there
            return None

    def _plain(self) -> bytes:
        if self._int8 is None:
            self._int8 = self._corrected(self._float32, self._ranges)
        return self._int8

    def _clipped(self) -> bytes:
        ranges = typical_ranges(self._float32, self._ranges, self._images, self._request.preprocessing)
        return self._corrected(self._float32, ranges)

    def _mixed(self, names: frozenset[str]) -> bytes:
        try:
            int8 = quantize_int8(self._float32, self._ranges, self._request.in_out, names)
        except ValueError:  # the first or the last layer is in float, and TensorFlow finds no integers at that end
            int8 = quantize_int8(self._float32, self._ranges, "float32", names)
        return to_float16(self._correct(int8, self._float32))

    def _sixteen(self) -> bytes:
        return corrected_int16x8(self._float32, self._images, self._request.preprocessing)

    def _finetuned(self) -> bytes:
        if self._request.finetune is None:
            raise AssertionError("asked for without a way to do it")
        # Without corrected biases: the training has seen to the means, and to more than that.
        float32, ranges = self._request.finetune(self._float32, self._images, self._ranges)
        self.made_from = float32
        return quantize_int8(float32, ranges, self._request.in_out)

    def _corrected(self, float32: bytes, ranges: Ranges) -> bytes:
        int8 = quantize_int8(float32, ranges, self._request.in_out)
        return self._correct(int8, float32)

    def _correct(self, int8: bytes, float32: bytes) -> bytes:
        images = self._images
        if len(images) > _CORRECTED_ON:
            images = images[np.linspace(0, len(images) - 1, _CORRECTED_ON).round().astype(int)]
        return correct_biases(int8, float32, images, self._request.preprocessing)
