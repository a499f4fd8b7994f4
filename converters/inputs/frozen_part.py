"""A network as a GraphDef of constants with one picture input, which any TensorFlow function can take in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from converters.inputs.function_names import make_known
from converters.inputs.graph import Graph, TensorName
from converters.inputs.loops import make_cancellable
from converters.inputs.old_operations import modernise, pass_on
from converters.tensorflow import import_tensorflow
from runtime.quiet import quiet_stderr

# Numbers of types.proto.
_FLOAT, _UINT8 = 1, 4
# What training for 8 bits leaves in a graph: a number through one of them comes out nearly as it was.
_FAKE_QUANT = (
    *("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVarsPerChannel"),
    *("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3", "QuantizeAndDequantizeV4"),
)


class FrozenPart:
    """What lies between a picture and its raw scores.

    Args:
        definition: a ``GraphDef`` without variables; it is changed: values that have a default for the case that
            nobody feeds them (``PlaceholderWithDefault``) become that default.
        entry: name of the tensor that takes pictures, float32 or uint8; its node is a Placeholder.
        exit: name of the tensor that gives scores.
    """

    def __init__(self, definition: Any, entry: str, exit: str) -> None:
        self.definition, self.entry, self.exit = definition, entry, exit
        modernise(definition, TensorName.parse(entry).node)
        make_cancellable(definition)
        make_known(definition)
        self._bytes = _takes_bytes(definition, TensorName.parse(entry).node)

    @property
    def is_trained_for_8_bits(self) -> bool:
        """Whether it rounds on its way as an 8-bit network would."""
        return any(node.op in _FAKE_QUANT for node in self.definition.node)

    def without_rounding(self) -> FrozenPart:
        """The same network without the rounding of one that is trained for 8 bits."""
        definition = type(self.definition)()
        definition.CopyFrom(self.definition)
        for node in definition.node:
            if node.op in _FAKE_QUANT:
                pass_on(node, node.attr["T"].type or _FLOAT)
        return FrozenPart(definition, self.entry, self.exit)

    def __call__(self, image: Any) -> Any:
        """The raw output for a tensor of pictures, inside a function that is traced.

        Args:
            image: float32 (any or 1, height, width, 3), normalised.
        """
        tf = import_tensorflow()
        if self._bytes:  # 0..255 then, which whole pixels are already
            image = tf.cast(tf.clip_by_value(tf.round(image), 0.0, 255.0), tf.uint8)
        if any(node.op == "Enter" for node in self.definition.node):
            # tf.function has all that it traces end with its function, which parts of TensorFlow 1's loops cannot.
            return tf.compat.v1.wrap_function(self._imported, [tf.TensorSpec(image.shape, image.dtype)])(image)
        return self._imported(image)

    def _imported(self, image: Any) -> Any:
        (raw,) = import_tensorflow().graph_util.import_graph_def(
            self.definition, input_map={self.entry: image}, return_elements=[self.exit], name="network"
        )
        return raw


def freeze_function(
    forward: Callable[[Any], Any], shape: Sequence[int | None], declared: Any, dtype: Any
) -> FrozenPart:
    """A function of TensorFlow 2 as a graph of constants.

    Args:
        forward: pictures -> raw scores.
        shape: that pictures have, (None, height, width, 3).
        declared: that the function says it takes, a ``tf.TensorShape``; its batch may be fixed.
        dtype: of the pictures.
    """
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    batch = declared[0] if declared.rank is not None else None
    taken = tf.TensorSpec((batch, *shape[1:]), dtype, name="image")
    with quiet_stderr():
        concrete = tf.function(forward, input_signature=[taken]).get_concrete_function()
        # Control flow stays as functions, which TensorFlow Lite can take.
        frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    return FrozenPart(frozen.graph.as_graph_def(), frozen.inputs[0].name, frozen.outputs[0].name)


def _takes_bytes(definition: Any, entry: str) -> bool:
    """Whether the entry takes bytes; where all that is done with them is to make them float32, it takes these instead.

    An 8-bit model could not hold the two conversions in a row.
    """
    graph = Graph(definition)
    node = graph.nodes[entry]
    if node.attr["dtype"].type != _UINT8:
        return False
    casts = [graph.nodes[name] for name in graph.consumers[entry]]
    if not casts or any(cast.op != "Cast" or cast.attr["DstT"].type != _FLOAT for cast in casts):
        return True
    node.attr["dtype"].type = _FLOAT
    for cast in casts:
        pass_on(cast, _FLOAT)
    return False
