from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow")

from converters.flatbuffer_model import pack_model, unpack_model
from converters.formats.tflite import convert_function
from converters.quantization.rebuilt_network import RebuiltNetwork
from runtime.errors import ModelError
from runtime.interpreter import LoadedModel
from tests.converters import small_nets
from tests.converters.quantization import networks


def interpreted(content: bytes, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    model = LoadedModel(content)
    return np.stack([model.run(picture[None]) for picture in pictures])


def rebuilt(content: bytes, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    network = RebuiltNetwork(content)
    return np.asarray(network.forward(pictures)[network.output]).reshape(len(pictures), -1)


@pytest.mark.parametrize("name", networks.ARCHITECTURES)
def test_answers_as_the_interpreter_does(name: str) -> None:
    content = networks.architectures()[name]
    pictures = networks.tensors(RebuiltNetwork(content).shape(0)[1], 2)
    wanted = interpreted(content, pictures)
    assert np.abs(wanted[0] - wanted[1]).max() > 1e-3, "a network that answers the same to everything shows nothing"
    np.testing.assert_allclose(rebuilt(content, pictures), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["residual", "concat", "hard_swish", "no_bias"])
def test_small_networks(kind: str) -> None:
    content, pictures = small_nets.make(kind).float32, networks.tensors()
    np.testing.assert_allclose(rebuilt(content, pictures), interpreted(content, pictures), atol=1e-5)


def _kernel(*shape: int) -> Any:
    return np.random.default_rng(1).normal(0, 0.4, shape).astype(np.float32)


def _functions() -> dict[str, Callable[[Any], Any]]:
    import tensorflow as tf

    def summed(x: Any) -> Any:
        return tf.reduce_sum(x, [1, 2])

    return {
        "wide strides": lambda x: summed(tf.nn.conv2d(x, _kernel(3, 2, 3, 4), (2, 1), "VALID")),
        "dilated": lambda x: summed(tf.nn.relu(tf.nn.conv2d(x, _kernel(3, 3, 3, 4), 1, "SAME", dilations=2))),
        "depth multiplier": lambda x: summed(tf.nn.depthwise_conv2d(x, _kernel(3, 3, 3, 2), (1, 2, 2, 1), "SAME")),
        "large depthwise": lambda x: summed(tf.nn.depthwise_conv2d(x, _kernel(5, 5, 3, 1), (1, 2, 2, 1), "SAME")),
        "padded": lambda x: summed(
            tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), _kernel(3, 3, 3, 4), 2, "VALID")
        ),
        "mirrored": lambda x: summed(tf.pad(x, [[0, 0], [2, 2], [1, 1], [0, 0]], "REFLECT")),
        "activations": lambda x: summed(tf.tanh(x) + tf.nn.leaky_relu(x, 0.3) * tf.sigmoid(x) - tf.nn.elu(x)),
        "scaled and shifted": lambda x: summed(tf.maximum((x - [0.1, 0.2, 0.3]) / [1.0, 2.0, 3.0], -0.2)),
        "split and joined": lambda x: summed(tf.concat(tf.split(x[:, 1:20:2, :, :], 2, 2)[::-1], 3)),
        "sliced and turned": lambda x: summed(tf.transpose(tf.slice(x, [0, 2, 3, 0], [-1, 5, 6, 2]), [0, 3, 2, 1])),
        "pools": lambda x: summed(tf.nn.avg_pool2d(tf.nn.max_pool2d(x, 3, 2, "SAME"), 3, 2, "SAME")),
        "flattened": lambda x: tf.matmul(tf.reshape(x[:, :4, :4, :], [-1, 48]), _kernel(48, 5)),
        "softened": lambda x: tf.nn.softmax(summed(x)),
    }


@pytest.mark.parametrize(
    "name",
    [
        "wide strides",
        "dilated",
        "depth multiplier",
        "large depthwise",
        "padded",
        "mirrored",
        "activations",
        "scaled and shifted",
        "split and joined",
        "sliced and turned",
        "pools",
        "flattened",
        "softened",
    ],
)
def test_operators(name: str) -> None:
    content = convert_function(_functions()[name], 24, 24)
    pictures = networks.tensors()
    wanted = interpreted(content, pictures)
    np.testing.assert_allclose(rebuilt(content, pictures), wanted, rtol=1e-4, atol=1e-4)


def test_what_is_written_is_what_was_read() -> None:
    content = networks.chain()
    network = RebuiltNetwork(content)
    assert (
        interpreted(network.write({}), networks.tensors()).tobytes()
        == interpreted(content, networks.tensors()).tobytes()
    )


def test_new_weights_are_written() -> None:
    network, pictures = RebuiltNetwork(networks.chain()), networks.tensors()
    weights = {layer.kernel: network.constants[layer.kernel] * np.float32(0.9) for layer in network.layers}
    wanted = np.asarray(network.forward(pictures, weights)[network.output])
    assert np.abs(wanted - rebuilt(networks.chain(), pictures)).max() > 1e-3
    np.testing.assert_allclose(interpreted(network.write(weights), pictures), wanted, atol=1e-5)


def test_layers_that_share_a_bias_get_one_each() -> None:
    content = small_nets.make("no_bias").float32
    network = RebuiltNetwork(content)
    biases = [layer.bias for layer in network.layers if layer.bias is not None]
    assert len(set(biases)) == len(biases) > 2
    new = {bias: network.constants[bias] + np.float32(number) for number, bias in enumerate(biases)}
    again = RebuiltNetwork(network.write(new))
    for layer in again.layers:
        if layer.bias is not None:
            np.testing.assert_array_equal(again.constants[layer.bias], new[layer.bias])


def test_activations_keep_their_indices() -> None:
    """Ranges are given by tensor index: copies of shared weights go behind all that was there."""
    content = small_nets.make("no_bias").float32
    before = unpack_model(content).subgraphs[0].tensors
    after = unpack_model(RebuiltNetwork(content).write({})).subgraphs[0].tensors
    assert [tensor.name for tensor in after[: len(before)]] == [tensor.name for tensor in before]
    assert len({tensor.name for tensor in after}) == len(after)


def test_an_integer_model_is_refused() -> None:
    with pytest.raises(ModelError, match="float32"):
        RebuiltNetwork(small_nets.make("residual").int8)


def test_an_unknown_operator_is_named() -> None:
    import tensorflow as tf

    content = convert_function(lambda x: tf.reduce_sum(tf.sin(x), [1, 2]), 24, 24)
    with pytest.raises(ModelError, match=r"its SIN is no operator that is known here; choose another quantisation"):
        rebuilt(content, networks.tensors())


def test_two_inputs_are_refused() -> None:
    contents = unpack_model(networks.chain())
    graph = contents.subgraphs[0]
    graph.inputs = np.array([*graph.inputs, graph.operators[0].outputs[0]], np.int32)
    with pytest.raises(ModelError, match="one input and one output"):
        RebuiltNetwork(pack_model(contents))


def test_what_is_not_a_model_is_refused() -> None:
    with pytest.raises(ModelError):
        RebuiltNetwork(b"PK\x03\x04 nothing of the kind")
