"""Quantisation-aware finetuning: a float network learns to answer as before when it is rounded to int8.

It works on the ``.tflite`` file and calibration pictures alone: the float network is the teacher, the same network
with rounded weights and activations the pupil. A few hundred pictures and a few epochs do: the pupil knows all but
the rounding already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.calibration_views import draw_view
from converters.quantization.channel_balance import balance_channels
from converters.quantization.distillation import Distillation
from converters.quantization.network_statistics import Range, TensorStatistics, network_statistics
from converters.quantization.rebuilt_network import RebuiltNetwork
from converters.quantization.student import Student
from runtime.errors import DataError, ModelError
from runtime.interpreter import LoadedModel
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

Floats = NDArray[np.float32]

#: Epochs that are enough: later ones change little.
EPOCHS = 5
# Pictures a step, and what all feature maps of a step may take, bytes: training keeps several copies of each. Inception
# v3 at 299 x 299 has 57 MB of them a picture, MobileNet v1 at 224 x 224 has 20 MB.
_BATCH, _MAPS = 8, 230e6
# Views an epoch has at least, so that few pictures are learned from as long as many.
_LEAST_VIEWS = 160
# Share of a typical weight that a training step may move it by; a step of int8 is some hundredths of it. The first
# where the answers differ by so little (nats) that only rounding is to be evened out, the second where the network
# has collapsed; measured on the flower networks: ten times the first undoes what it was to mend.
_RATES, _DIVERGENCES = (5e-5, 5e-4), (0.007, 0.3)
# After an epoch that made it worse the best state is gone back to, and the pace becomes so much of what it was.
_SLOWER = 0.3
# One picture in this many is not learned from and says which epoch was best; fewer than the least: all are both.
_HELD_OUT, _LEAST_HELD_OUT = 5, 4
# Pictures that the float network's activations are looked at with.
_LOOKED_AT = 48
# Largest difference of a score between the rebuilt network and the interpreter's.
_TOLERANCE = 1e-3


def _ignore(_message: str) -> None:
    """Nobody asked."""


def finetune_quantized(
    float32: bytes,
    images: NDArray[Any],
    ranges: Mapping[int, Range],
    preprocessing: Preprocessing,
    epochs: int = EPOCHS,
    seed: int = 0,
    notify: Callable[[str], None] = _ignore,
) -> tuple[bytes, dict[int, Range]]:
    """Train the weights of a float network so that its int8 version answers as the float network does.

    Args:
        float32: a ``.tflite`` file of float32 weights: normalised (1, height, width, 3) -> (1, classes).
        images: calibration pictures, (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        ranges: of its activations: tensor index -> least and greatest value. Those that are not named stay float.
        preprocessing: normalises the pictures.
        epochs: how often each picture is seen, 0 for none: then only ranges are chosen and channels balanced.
        seed: of the views and their order. One seed gives one result on one machine.
        notify: is told in one line after each epoch.

    Returns:
        What ``quantize_int8`` takes, without ``correct_biases`` after it: the biases are trained already, and set for
        weights as they are rounded. A float32 file with the same tensors, where constants that layers shared may have
        been copied behind them, and the ranges for it. What did best on pictures that were not learned from is taken;
        that may be the start.

    Raises:
        DataError: no pictures.
        ModelError: a network that cannot be rebuilt.
        MissingPackageError: TensorFlow is not installed.
    """
    if not len(images):
        raise DataError("finetuning for int8 needs calibration pictures, and there are none")
    with quiet_stderr():
        network = RebuiltNetwork(float32)
        learned, held_out = _shares(images, seed)
        tensors = [_normalized([image], preprocessing) for image in learned[:_LOOKED_AT]]
        _check(network, float32, tensors[:2])
        statistics = network_statistics(network, tensors)
        network, statistics, ranges = _balanced(network, statistics, ranges, tensors)
        student = Student(network, ranges, statistics)
        distillation = Distillation(network, student, statistics)
    _Training(student, distillation, learned, held_out, preprocessing, seed).run(epochs, statistics, notify)
    return network.write(student.weights()), student.ranges()


class _Training:
    """The epochs, and the best state on the way."""

    def __init__(
        self,
        student: Student,
        distillation: Distillation,
        learned: NDArray[Any],
        held_out: NDArray[Any],
        preprocessing: Preprocessing,
        seed: int,
    ) -> None:
        self._student, self._distillation = student, distillation
        self._learned, self._preprocessing, self._seed = learned, preprocessing, seed
        self._batch = batch = int(np.clip(_MAPS // student.network.map_bytes(), 1, _BATCH))
        batches = [held_out[start : start + batch] for start in range(0, len(held_out), batch)]
        self._judged = [_normalized(batch, preprocessing) for batch in batches]
        self._best: tuple[float, Any] = (math.inf, None)

    def run(self, epochs: int, statistics: Mapping[int, TensorStatistics], notify: Callable[[str], None]) -> None:
        """Train, and leave the student in the best state that was seen."""
        start = self._judge()
        self._student.narrow(statistics)
        if self._judge() > start:
            self._student.restore(self._best[1])
        begin = self._best[0]
        top = float(np.exp(np.interp(np.log(max(begin, 1e-9)), np.log(_DIVERGENCES), np.log(_RATES))))
        for epoch in range(epochs):
            with quiet_stderr():  # not around the notices, which may go there
                self._epoch(epoch, epochs, top)
            best, now = self._best[0], self._judge()
            if not now < best:  # too fast
                self._student.restore(self._best[1])
                top *= _SLOWER
            notify(
                f"Finetuning for int8: epoch {epoch + 1} of {epochs}, answers differ by {now:.4f} nats "
                f"({begin:.4f} before)"
            )
        self._student.restore(self._best[1])

    def _epoch(self, epoch: int, epochs: int, top: float) -> None:
        """Learn from one view of each picture, at a pace that falls from ``top`` to nothing over all epochs."""
        views = max(len(self._learned), _LEAST_VIEWS)
        steps, order = -(-views // self._batch), self._order(epoch, views)
        for step in range(steps):
            done = epoch * steps + step
            rate = top * 0.5 * (1 + math.cos(math.pi * done / (epochs * steps)))
            places = range(views)[step * self._batch :][: self._batch]
            batch = [self._view(epoch, place, order[place]) for place in places]
            self._distillation.step(_normalized(batch, self._preprocessing), done + 1, rate)

    def _judge(self) -> float:
        """The divergence on held-out pictures; remembers the best state."""
        with quiet_stderr():
            divergence = self._distillation.divergence(self._judged)
        if divergence < self._best[0] or self._best[1] is None:
            self._best = (divergence, self._student.state())
        return divergence

    def _order(self, epoch: int, views: int) -> NDArray[np.intp]:
        """Index of the picture of each view."""
        rng = np.random.default_rng((self._seed, epoch))
        rounds = [rng.permutation(len(self._learned)) for _ in range(-(-views // len(self._learned)))]
        return np.concatenate(rounds)[:views]

    def _view(self, epoch: int, place: int, picture: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((self._seed, epoch, place, 1))
        return draw_view(self._learned[picture], self._preprocessing, rng)


def _shares(images: NDArray[Any], seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pictures to learn from, and pictures to judge with."""
    count = len(images) // _HELD_OUT
    if count < _LEAST_HELD_OUT:
        return images, images
    order = np.random.default_rng(seed).permutation(len(images))
    return images[np.sort(order[count:])], images[np.sort(order[:count])]


def _normalized(images: Any, preprocessing: Preprocessing) -> Floats:
    """A batch for the network: whole pixel values, as int8 gets them."""
    return normalize(np.rint(np.stack(images)), preprocessing)


def _check(network: RebuiltNetwork, float32: bytes, tensors: list[Floats]) -> None:
    """Make sure that the rebuilt network is the file's, also with several pictures at a time."""
    model = LoadedModel(float32)
    wanted = np.stack([model.run(tensor) for tensor in tensors])
    got = np.asarray(network.forward(np.concatenate(tensors))[network.output])
    difference = np.abs(got.reshape(wanted.shape) - wanted).max() if got.size == wanted.size else np.inf
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise ModelError(
            f"the network cannot be finetuned: rebuilt in TensorFlow it answers differently (by {difference:.3g}); "
            "choose another quantisation"
        )


def _balanced(
    network: RebuiltNetwork,
    statistics: Mapping[int, TensorStatistics],
    ranges: Mapping[int, Range],
    tensors: list[Floats],
) -> tuple[RebuiltNetwork, Mapping[int, TensorStatistics], Mapping[int, Range]]:
    """The network without wild channels, its statistics and ranges; as they were where none is wild."""
    changed = balance_channels(network, statistics)
    if not changed:
        return network, statistics, ranges
    balanced = RebuiltNetwork(network.write(changed))
    after = network_statistics(balanced, tensors)
    new = {index: (after[index].low, after[index].high) for index in ranges if _moved(index, statistics, after)}
    return balanced, after, {**ranges, **new}


def _moved(index: int, before: Mapping[int, TensorStatistics], after: Mapping[int, TensorStatistics]) -> bool:
    if index not in before:
        return False
    return not np.allclose(before[index].reach, after[index].reach, rtol=1e-3)
