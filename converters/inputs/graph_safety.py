"""Which operations of a stranger's graph may run: those that compute and touch nothing else.

TensorFlow marks operations with effects outside the graph as stateful. Those are refused, but for variables,
function calls, random numbers and the like. A few that read files, run Python or print are not marked so; they
are listed here (from the 1,462 operations of TensorFlow 2.21).
"""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Any

from converters.inputs.graph import all_nodes, direct_calls
from runtime.errors import ModelError
from runtime.file_kind import shown

_STATEFUL_BUT_HARMLESS = frozenset(
    (
        *("VarHandleOp", "ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"),
        *("VariableV2", "Variable", "VariableShape", "ResourceGather"),
        *("StatefulPartitionedCall", "If", "While", "Case", "Assert", "CheckNumerics"),
        *("RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal", "RandomShuffle"),
        *("TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3", "TensorArrayScatterV3"),
        *("TensorArrayGatherV3", "TensorArraySizeV3"),
    )
)
#: What a SavedModel of TensorFlow 1 needs beside that to get its variables.
RESTORING = frozenset(("RestoreV2",))
_STATELESS_BUT_NOT = re.compile(
    r"(Copy|CopyHost|Debug.*|Immutable.*|InitializeTable.*|PyFunc.*|Reader.*|TPU.*|.*Dataset.*|.*File.*)$"
)


def check_operations(definition: Any, name: str, also: frozenset[str] = frozenset()) -> None:
    """Look through all nodes and functions of a graph; nothing is run.

    Args:
        definition: a ``GraphDef``, cut down to what will be run.
        name: of the model, for the error.
        also: stateful operations that may stand in it.

    Raises:
        ModelError: an operation that this TensorFlow does not know, or that does more than compute; a function that
            calls itself.
    """
    functions = {function.signature.name for function in definition.library.function}
    for operation in sorted({node.op for node in all_nodes(definition)} - functions - also):
        problem = _problem(operation)
        if problem:
            raise ModelError(f"{name}: its operation {shown(operation)} {problem}; nothing of it was run")
    _check_recursion(definition, name)


def _check_recursion(definition: Any, name: str) -> None:
    """A function that calls itself need never end, and takes more memory with each call."""
    functions = {function.signature.name: function for function in definition.library.function}
    calls = {caller: direct_calls(function.node_def, functions) for caller, function in functions.items()}
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise ModelError(
            f"{name}: its function {shown(error.args[1][0])} calls itself; nothing of it was run"
        ) from None


def _problem(operation: str) -> str:
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operation)
    if known is None:
        return "is none that this TensorFlow knows"
    if operation == "For":  # no TensorFlow writes it, and one that counts to 2**31 could not be ended
        return "is a loop that cannot be ended while it runs"
    if operation in _STATEFUL_BUT_HARMLESS:
        return ""
    if known.is_stateful or _STATELESS_BUT_NOT.match(operation):
        return "does more than compute (files, Python, state)"
    return ""
