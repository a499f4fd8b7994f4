"""Makes the channels of a tensor equally large where one dwarfs the others, without changing what a network answers.

A tensor has one scale for all its channels in int8, so one wild channel leaves nothing of the rest. Between layers
that are homogeneous (no activation, or ReLU) a channel can be divided by a number where it is made and multiplied by
it where it is read: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
https://arxiv.org/abs/1906.04721, section 4.1; how the burden is shared between a tensor and the weights that read it
is that of G. Xiao et al., "SmoothQuant", https://arxiv.org/abs/2211.10438, equation 4 with alpha 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.quantization.network_statistics import TensorStatistics
from converters.quantization.rebuilt_network import RebuiltNetwork, Step, WeightedLayer

Floats = NDArray[np.float32]

#: A channel, or what reads it, this many times as large as the median one is wild; few are in healthy networks.
WILD = 16.0
# A channel that ReLU6 clips can only grow, and to half of 6 at most on the pictures that were looked at.
_HEADROOM = 2.0
# No channel grows more than a million times: such a small one holds nothing.
_LEAST = 1e-6
# Fused activations f with f(s x) = s f(x) for s > 0: NONE and RELU of the schema.
_HOMOGENEOUS = frozenset((0, 1))
_RELU6 = 3
# Operators whose outputs have the channels of their inputs, scaled alike.
_TIES = frozenset(("ADD", "SUB", "MEAN", "AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU", "PAD"))


@dataclass
class _Group:
    """Tensors whose channels can only be scaled together, with the layers around them; ``ceiling`` is that of ReLU6."""

    tensors: set[int] = field(default_factory=set)
    makers: list[WeightedLayer] = field(default_factory=list)
    readers: list[WeightedLayer] = field(default_factory=list)
    ceiling: float = 0.0


def balance_channels(network: RebuiltNetwork, statistics: Mapping[int, TensorStatistics]) -> dict[int, Floats]:
    """Scale wild channels down where they are made and up where they are read.

    Args:
        network: to balance; is not changed.
        statistics: of its tensors on calibration pictures.

    Returns:
        Tensor index -> new values, of the kernels and biases that change. The factors are powers of two, so that the
        network answers as before to the last digit, but where a ReLU6 now clips a value that is twice as large as
        any on the pictures that were looked at. Empty where no channel is wild.
    """
    changed: dict[int, Floats] = {}
    for group in _groups(network):
        factors = _factors(network, group, statistics)
        if factors is None:
            continue
        for layer in group.makers:
            for index in (layer.kernel, layer.bias):
                if index is not None:
                    values = changed.get(index, network.constants[index])
                    axis = layer.axis if index == layer.kernel else 0
                    changed[index] = (values / _along(factors, values.ndim, axis)).astype(np.float32)
        for layer in group.readers:
            values = changed.get(layer.kernel, network.constants[layer.kernel])
            changed[layer.kernel] = values * _along(factors, values.ndim, values.ndim - 1)
    return changed


def _along(factors: Floats, rank: int, axis: int) -> Floats:
    """The factors on one axis of an array."""
    return factors.reshape([-1 if place == axis else 1 for place in range(rank)])


def _factors(network: RebuiltNetwork, group: _Group, statistics: Mapping[int, TensorStatistics]) -> Floats | None:
    """What to divide each channel by; None where none is wild."""
    reach = np.max([statistics[index].reach for index in group.tensors], axis=0)
    needs = [
        np.abs(network.constants[layer.kernel]).max(axis=tuple(range(network.constants[layer.kernel].ndim - 1)))
        for layer in group.readers
        if layer.name != "DEPTHWISE_CONV_2D"  # each channel has a scale of its own
    ]
    wild, need = _relative(reach), _relative(np.max(needs, axis=0)) if needs else None
    if need is None:
        factors = np.where(wild > WILD, wild, 1.0)
    else:
        chosen = ((wild > WILD) | (need > WILD)) & (wild > 0) & (need > 0)
        factors = np.where(chosen, np.sqrt(wild / np.where(chosen, need, 1.0)), 1.0)
    if group.ceiling:
        factors = np.clip(factors, np.minimum(reach * _HEADROOM / group.ceiling, 1.0), 1.0)
    powers: Floats = np.exp2(np.rint(np.log2(np.maximum(factors, _LEAST)))).astype(np.float32)
    return powers if (powers != 1).any() else None


def _relative(values: NDArray[Any]) -> Floats:
    """To the median of those that are not zero: channels that are never active say nothing."""
    positive = values[values > 0]
    relative: Floats = (values / (float(np.median(positive)) if len(positive) else 1.0)).astype(np.float32)
    return relative


def _groups(network: RebuiltNetwork) -> list[_Group]:
    """The groups that may be scaled."""
    parents: dict[int, int] = {}

    def root(index: int) -> int:
        while parents.setdefault(index, index) != index:
            index = parents[index]
        return index

    layers = {layer.output: layer for layer in network.layers}
    stuck, capped = {network.input, network.output}, set[int]()
    for step in network.steps:
        fed = [index for index in step.inputs if index >= 0 and index not in network.constants]
        if _ties(network, step):
            for index in fed:
                parents[root(index)] = root(step.outputs[0])
            continue
        layer = layers.get(step.outputs[0])
        if layer is None:
            stuck |= {*fed, *step.outputs}
            continue
        if step.options.fusedActivationFunction == _RELU6:
            capped.add(layer.output)
        elif step.options.fusedActivationFunction not in _HOMOGENEOUS:
            stuck.add(layer.output)
        if not _reads_channels(network, layer):
            stuck.add(layer.source)
    fixed = {root(index) for index in stuck}
    groups: dict[int, _Group] = {}
    for layer in network.layers:
        for index, member in ((layer.output, "makers"), (layer.source, "readers")):
            if root(index) not in fixed:
                getattr(groups.setdefault(root(index), _Group()), member).append(layer)
    for index in parents:
        if root(index) in groups:
            groups[root(index)].tensors.add(index)
    for group in groups.values():
        group.ceiling = 6.0 if group.tensors & capped else 0.0
    return [group for group in groups.values() if group.makers and group.readers]


def _ties(network: RebuiltNetwork, step: Step) -> bool:
    """Whether its output is its inputs' channels, one by one."""
    if step.name not in _TIES or getattr(step.options, "fusedActivationFunction", 0) not in _HOMOGENEOUS:
        return False
    shapes = [network.shape(index) for index in step.inputs]
    output = network.shape(step.outputs[0])
    if step.name in {"ADD", "SUB"}:
        return all(index not in network.constants for index in step.inputs) and len({*shapes, output}) == 1
    if step.name == "MEAN":
        axes = {int(axis) % len(shapes[0]) for axis in network.constants[step.inputs[1]].reshape(-1)}
        return axes.isdisjoint({0, len(shapes[0]) - 1}) and shapes[0][-1:] == output[-1:]
    return shapes[0][-1:] == output[-1:]


def _reads_channels(network: RebuiltNetwork, layer: WeightedLayer) -> bool:
    """Whether the last axis of its kernel counts the channels of its input, as they are."""
    kernel, source = network.constants[layer.kernel], network.shape(layer.source)
    return bool(kernel.shape[-1] == source[-1])
