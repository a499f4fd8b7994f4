from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from converters.quantization.channel_balance import WILD, balance_channels
from converters.quantization.network_statistics import network_statistics
from converters.quantization.rebuilt_network import RebuiltNetwork
from tests.converters import small_nets
from tests.converters.quantization import networks


def balanced(content: bytes) -> RebuiltNetwork | None:
    network = RebuiltNetwork(content)
    changed = balance_channels(network, network_statistics(network, [t[None] for t in networks.tensors(count=8)]))
    return RebuiltNetwork(network.write(changed)) if changed else None


def wildest(network: RebuiltNetwork) -> float:
    """Largest channel over the median one, of the worst tensor that a convolution makes."""
    statistics = network_statistics(network, [t[None] for t in networks.tensors(count=8)])
    reaches = [statistics[layer.output].reach for layer in network.layers[:-1]]
    return max(float(reach.max() / np.median(reach[reach > 0])) for reach in reaches)


@pytest.mark.parametrize("factor", [64.0, 1000.0])
def test_wild_channels_are_tamed_and_the_answers_stay(factor: float) -> None:
    planted = networks.with_wild_channels(networks.chain(), factor)
    after = balanced(planted)
    assert after is not None
    assert wildest(RebuiltNetwork(planted)) > factor / 4
    assert wildest(after) < WILD
    pictures = small_nets.pictures(20)
    answers = [
        networks.float_scores(content, pictures, networks.PREPROCESSING) for content in (planted, after.write({}))
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)


def test_a_residual_stream_is_scaled_as_a_whole() -> None:
    """What is added must be scaled alike, in every layer that makes it or reads it."""
    network = RebuiltNetwork(networks.chain())
    tensors = [t[None] for t in networks.tensors(count=8)]
    stream = next(step for step in network.steps if step.name == "ADD")
    makers = [layer for layer in network.layers if layer.output in stream.inputs]
    readers = [layer for layer in network.layers if layer.source in (*stream.inputs, *stream.outputs)]
    assert len(makers) == len(readers) == 2
    factors = np.where(np.arange(16) % 5, 1, 512).astype(np.float32)
    weights = {layer.kernel: network.constants[layer.kernel] * factors[:, None, None, None] for layer in makers}
    weights |= {layer.bias: network.constants[layer.bias] * factors for layer in makers if layer.bias is not None}
    for layer in readers:
        weights[layer.kernel] = network.constants[layer.kernel] / factors
    planted = RebuiltNetwork(network.write(weights))
    after = balanced(planted.write({}))
    assert after is not None
    given = [np.asarray(n.forward(tensors[0])[n.output]) for n in (network, planted, after)]
    np.testing.assert_allclose(given[1], given[0], atol=1e-5)
    np.testing.assert_allclose(given[2], given[0], atol=1e-5)
    assert wildest(after) < WILD < wildest(planted)


def test_small_channels_under_relu6_grow_where_the_next_layer_needs_them_large() -> None:
    network = RebuiltNetwork(small_nets.make("no_bias").float32)
    maker, reader = network.layers[0], network.layers[1]
    assert reader.source == maker.output
    factors = np.where(np.arange(8) % 4, 1, 1 / 64).astype(np.float32)
    weights = {maker.kernel: network.constants[maker.kernel] * factors[:, None, None, None]}
    weights |= {maker.bias: network.constants[maker.bias] * factors} if maker.bias is not None else {}
    weights[reader.kernel] = network.constants[reader.kernel] / factors
    planted = RebuiltNetwork(network.write(weights))
    after = balanced(planted.write({}))
    assert after is not None

    def spread(of: RebuiltNetwork) -> float:
        sizes = np.abs(of.constants[reader.kernel]).max(axis=(0, 1, 2))
        return float(sizes.max() / np.median(sizes))

    assert spread(after) < spread(planted) / 4
    pictures = networks.tensors(count=8)
    given = [np.asarray(n.forward(pictures)[n.output]) for n in (planted, after)]
    np.testing.assert_allclose(given[1], given[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish", "no_bias"])
def test_healthy_networks_are_left_alone(kind: str) -> None:
    assert balanced(small_nets.make(kind).float32) is None
