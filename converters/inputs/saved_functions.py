"""Runs a signature of a TensorFlow 2 SavedModel, after all functions it could run were looked through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.inputs.frozen_part import FrozenPart, freeze_function
from converters.inputs.graph import Graph, called_functions
from converters.inputs.graph_ends import Ends
from converters.inputs.graph_safety import check_operations
from converters.inputs.graph_session import input_tensor, row_of_scores, what_failed
from converters.inputs.graph_sizes import check_function_sizes
from converters.inputs.loops import require_cancellable, run_function
from converters.inputs.predictor import Floats, probabilities
from converters.tensorflow import import_tensorflow
from runtime.errors import EdgeExportError, ModelError
from runtime.file_kind import shown
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing


@dataclass(frozen=True)
class Signature:
    """A signature's name and the names of its one input and the output that is used."""

    name: str
    taken: str
    given: str


class FunctionRunner:
    """A signature, loaded with TensorFlow's own loader.

    Args:
        folder: of the SavedModel.
        meta: its ``MetaGraphDef``.
        signature: to run.
        ends: of it.
        preprocessing: of its input.

    Raises:
        ModelError: an operation that is not known or not harmless; a model that TensorFlow refuses.
    """

    def __init__(self, folder: Path, meta: Any, signature: Signature, ends: Ends, preprocessing: Preprocessing) -> None:
        tf = import_tensorflow()
        self._name, self._ends, self._preprocessing, self._given = shown(folder), ends, preprocessing, signature.given
        callable_part = _callable_part(meta)
        check_operations(callable_part, self._name)
        require_cancellable(callable_part, self._name)
        check_function_sizes(callable_part, self._name)
        try:
            with quiet_stderr():
                # Its initialisers run. The functions live as long as it does.
                self._loaded = run_function(lambda: tf.saved_model.load(str(folder)), self._name)
                function: Any = self._loaded.signatures[signature.name]
        except EdgeExportError:
            raise
        except Exception as error:  # OSError, KeyError, tf.errors.OpError, ...: all mean a damaged model
            raise ModelError(f"{self._name}: TensorFlow cannot load the model: {what_failed(error)}") from error
        self._function, self._taken = function, signature.taken
        self._run: Callable[[NDArray[Any]], Any] = lambda tensor: function(**{signature.taken: tf.constant(tensor)})

    def raw(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The output for resized pixels, (height, width, 3), 0..255, flat.

        Raises:
            ModelError: the model fails, or gives no row of numbers.
        """
        tensor = input_tensor(pixels, self._preprocessing, self._ends)
        try:
            values = run_function(lambda: np.asarray(self._run(tensor)[self._given]), self._name)
        except EdgeExportError:
            raise
        except Exception as error:
            raise ModelError(f"{self._name}: the model fails when it runs: {what_failed(error)}") from error
        return row_of_scores(values, f"{self._name}: {self._given}")

    def freeze(self) -> FrozenPart:
        """The signature without variables and calls.

        Raises:
            ModelError: TensorFlow cannot do that.
        """
        taken = self._function.structured_input_signature[1][self._taken]
        shape = (None, self._preprocessing.height, self._preprocessing.width, 3)
        forward = lambda image: self._function(**{self._taken: image})[self._given]  # noqa: E731
        try:
            return freeze_function(forward, shape, taken.shape, taken.dtype)
        except Exception as error:
            raise ModelError(f"{self._name}: its signature cannot be frozen: {what_failed(error)}") from error

    def scores(self, pixels: NDArray[Any]) -> Floats:
        """The same as probabilities."""
        return probabilities(self.raw(pixels), self._ends.probability, self._name)


def _callable_part(meta: Any) -> Any:
    """All functions that loading and running can reach, as a GraphDef.

    The loader calls functions of the object graph: initialisers run at once. Those that only the graph's own
    save and restore nodes call are left out, for it runs no node of the graph and restores by itself.
    """
    graph = Graph(meta.graph_def)
    functions = {function.signature.name: function for function in graph.definition.library.function}
    saver = meta.saver_def
    saving = [graph.nodes[n] for n in _node_names(saver.save_tensor_name, saver.restore_op_name) if n in graph.nodes]
    # A name that the object graph holds anywhere counts, whatever field it stands in.
    objects = meta.object_graph_def.SerializeToString()
    named = [function for name, function in functions.items() if name.encode() in objects]
    bodies = [body for function in named for body in function.node_def]
    reachable = {function.signature.name for function in named} | set(called_functions(bodies, functions))
    left_out = set(called_functions(saving, functions)) - reachable
    part = type(graph.definition)()
    for name, function in functions.items():
        if name not in left_out:
            part.library.function.add().CopyFrom(function)
    return part


def _node_names(*tensors: str) -> list[str]:
    return [text.partition(":")[0] for text in tensors]
