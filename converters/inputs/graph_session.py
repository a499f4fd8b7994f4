"""Runs a GraphDef between two tensors with TensorFlow, after it was looked through."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.formats.constant_folding import become_constant
from converters.inputs.frozen_part import FrozenPart
from converters.inputs.graph import Graph, cut_out, names
from converters.inputs.graph_ends import Ends
from converters.inputs.graph_safety import RESTORING, check_operations
from converters.inputs.graph_sizes import check_function_sizes, check_sizes
from converters.inputs.loops import make_cancellable, run_limited
from converters.inputs.predictor import Floats, probabilities
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, ModelError, one_line
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

# Operations whose first output is a variable's value.
_VARIABLES = ("VariableV2", "Variable", "ReadVariableOp")
# What its users feed, and what TensorFlow says where they do not.
_PLACEHOLDERS = ("Placeholder", "PlaceholderV2")
_NOT_FED = "You must feed a value for placeholder"

# Beginnings of lines in TensorFlow's errors that say where something happened, not what.
_NOT_TELLING = ("Graph execution error", "Detected at", "Node:", "[")


class GraphRunner:
    """A classifier in a graph, loaded.

    Args:
        graph: it is cut down to what lies between the ends before anything else.
        ends: of the classifier.
        preprocessing: of its input.
        name: of the model, for errors.
        restore: the name of the node that reads variables and what to feed it; None where there are none.

    Raises:
        ModelError: an operation that is not known or not harmless; a graph that TensorFlow refuses.
    """

    def __init__(
        self,
        graph: Graph,
        ends: Ends,
        preprocessing: Preprocessing,
        name: str,
        restore: tuple[str, dict[str, str]] | None = None,
    ) -> None:
        tf = import_tensorflow()
        self._name, self._ends, self._preprocessing = name, ends, preprocessing
        self._has_variables = restore is not None
        part = cut_out(graph, ends.entry, [ends.exit.node])
        check_operations(part, name)
        if restore is not None:
            check_operations(cut_out(graph, ends.entry, [restore[0]]), name, RESTORING)
            part = cut_out(graph, ends.entry, [ends.exit.node, restore[0]])
        make_cancellable(part)
        self._part = part
        try:
            with quiet_stderr(), tf.Graph().as_default() as loaded:
                tf.graph_util.import_graph_def(part, name="")
                self._session = tf.compat.v1.Session(graph=loaded)
                if restore is not None:
                    self._run(*restore)
        except EdgeExportError:
            raise
        except Exception as error:  # ValueError, tf.errors.OpError, ...: all mean that the graph is not sound
            raise ModelError(f"{name}: TensorFlow cannot load the graph: {what_failed(error)}") from error
        check_sizes(loaded, name)
        check_function_sizes(part, name)

    def raw(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The output for resized pixels, (height, width, 3), 0..255, flat.

        Raises:
            ModelError: the graph fails, or gives no row of numbers.
        """
        tensor = input_tensor(pixels, self._preprocessing, self._ends)
        try:
            values = np.asarray(self._run(str(self._ends.exit), {str(self._ends.entry): tensor}))
        except EdgeExportError:
            raise
        except Exception as error:
            failed = self._not_fed(error) or f"the graph fails when it runs: {what_failed(error)}"
            raise ModelError(f"{self._name}: {failed}") from error
        return row_of_scores(values, f"{self._name}: {self._ends.exit}")

    def _not_fed(self, error: Exception) -> str | None:
        """What is said of a graph that wants more than a picture; None where that is not what failed."""
        if _NOT_FED not in what_failed(error):
            return None
        wanted = [n.name for n in self._part.node if n.op in _PLACEHOLDERS and n.name != self._ends.entry.node]
        return (
            f"it wants more than a picture: {names(wanted)}; freeze the graph with constants in their place, as they "
            "are when nothing is trained (1 for a keep_prob, False for an is_training)"
        )

    def _run(self, fetched: Any, fed: dict[str, Any] | None = None) -> Any:
        session = self._session
        return run_limited(lambda: session.run(fetched, fed), session.close, self._name)

    def freeze(self) -> FrozenPart:
        """What lies between the ends, with the variables' values in their place.

        Raises:
            ModelError: TensorFlow cannot do that.
        """
        part = cut_out(Graph(self._part), self._ends.entry, [self._ends.exit.node])
        if self._has_variables:
            try:
                self._insert_variables(part)
            except EdgeExportError:
                raise
            except Exception as error:
                raise ModelError(f"{self._name}: its variables cannot be read: {what_failed(error)}") from error
            part = cut_out(Graph(part), self._ends.entry, [self._ends.exit.node])
        return FrozenPart(part, str(self._ends.entry), str(self._ends.exit))

    def _insert_variables(self, part: Any) -> None:
        """Put constants in the place of what holds or reads variables."""
        nodes = {node.name: node for node in part.node if node.op in _VARIABLES}
        values = self._run([f"{name}:0" for name in nodes])
        for node, value in zip(nodes.values(), values, strict=True):
            become_constant(import_tensorflow(), node, np.asarray(value))

    def scores(self, pixels: NDArray[Any]) -> Floats:
        """The same as probabilities."""
        return probabilities(self.raw(pixels), self._ends.probability, self._name)


def input_tensor(pixels: NDArray[Any], preprocessing: Preprocessing, ends: Ends) -> NDArray[Any]:
    """Resized pixels, (height, width, 3), 0..255, as a batch of one: normalised float32, or bytes as they are."""
    if ends.uint8:
        return np.asarray(np.rint(pixels).astype(np.uint8)[None])
    return np.asarray(normalize(pixels, preprocessing)[None])


def row_of_scores(values: NDArray[Any], name: str) -> NDArray[Any]:
    """An output, (1, classes) or the like, as (classes,).

    Raises:
        ModelError: it is something else.
    """
    if values.dtype.kind not in "fiu" or not values.size or values.size != values.shape[-1]:
        raise ModelError(f"{name} is no row of scores: it has shape {values.shape}; --output-layer names another one")
    return values.reshape(-1)


def what_failed(error: Exception) -> str:
    """What TensorFlow says about an error, in one line, without where in its source it happened."""
    if type(error).__name__ == "ResourceExhaustedError":
        return "it needs more memory than there is"
    lines = [line.strip() for line in str(getattr(error, "message", "") or error).splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOT_TELLING)]
    return one_line((telling or lines or [type(error).__name__])[0])[:300]
