from __future__ import annotations

import numpy as np
import pytest

from converters.flatbuffer_model import unpack_model
from converters.layerwise import LayerwiseModel
from runtime.preprocess import normalize
from tests.converters import small_nets
from tests.converters.small_nets import Net

pytest.importorskip("tensorflow")


@pytest.fixture(scope="module", params=["residual", "concat", "hard_swish", "no_bias"])
def net(request: pytest.FixtureRequest) -> Net:
    return small_nets.make(request.param)


def run_all(model: LayerwiseModel) -> list[np.ndarray]:
    for done, operator in enumerate(model.operators, 1):
        model.run(operator)
        if done < len(model.operators):
            model.forget(done)
    return model.values[int(model.graph.outputs[0])]


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_operator_by_operator_gives_what_the_whole_model_gives(net: Net, kind: str) -> None:
    content = getattr(net, kind)
    quantized = kind == "int8"
    inputs = [p[None] if quantized else normalize(p, net.preprocessing)[None] for p in net.pictures[:4]]
    layered = run_all(LayerwiseModel(unpack_model(content), inputs))
    whole = small_nets.interpreter(content)
    for tensor, output in zip(inputs, layered, strict=True):
        whole.set_tensor(whole.get_input_details()[0]["index"], tensor)
        whole.invoke()
        expected = whole.get_tensor(whole.get_output_details()[0]["index"])
        if quantized:
            assert np.abs(output.astype(int) - expected.astype(int)).max() <= 1
        else:
            np.testing.assert_allclose(output, expected, atol=1e-5)


def test_values_that_a_later_operator_reads_are_kept(net: Net) -> None:
    model = LayerwiseModel(unpack_model(net.float32), [normalize(net.pictures[0], net.preprocessing)[None]])
    for done, operator in enumerate(model.operators, 1):
        model.run(operator)
        model.forget(done)
        readable = {i for later in model.operators[done:] for i in model.fed(later)}
        produced = {int(i) for earlier in model.operators[:done] for i in earlier.outputs}
        assert set(model.values) == readable & (produced | {int(model.graph.inputs[0])})
    assert model.values == {}


def test_the_model_is_left_as_it_was(net: Net) -> None:
    contents = unpack_model(net.int8)
    model = LayerwiseModel(contents, [net.pictures[0][None]])
    tensors, buffers = len(contents.subgraphs[0].tensors), len(contents.buffers)
    metadata = list(contents.metadata or ())
    run_all(model)
    assert (len(contents.subgraphs[0].tensors), len(contents.buffers)) == (tensors, buffers)
    assert list(contents.metadata or ()) == metadata


def test_operators_that_change_the_format_only(net: Net) -> None:
    whole, real = (LayerwiseModel(unpack_model(content), []) for content in (net.int8, net.float32))
    assert not any(real.changes_format_only(operator) for operator in real.operators)
    assert whole.changes_format_only(whole.operators[0])
    assert whole.changes_format_only(whole.operators[-1])
