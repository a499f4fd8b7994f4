"""Named entries of a ``.tflite`` file: the metadata, and the first runtime that runs its operators."""

from __future__ import annotations

from typing import Any

from runtime.op_names import CUSTOM_CODE, operator_name
from runtime.op_versions import first_release, release_key

TFLITE_METADATA = b"TFLITE_METADATA"
MIN_RUNTIME_VERSION = b"min_runtime_version"
# Bytes that TensorFlow's converter keeps for the text, filled with zeros: kTfliteFlatbufferVersionSize in
# flatbuffer_export.cc, as its files show.
_RUNTIME_VERSION_BYTES = 16


def set_entry(model: Any, name: bytes, data: Any) -> None:
    """Store data under a name; what other entries and tensors use stays as it is.

    Args:
        model: a ``ModelT``; exactly one of its entries has the name afterwards.
        name: of the entry.
        data: numpy array of uint8.
    """
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    entries = model.metadata or []
    others = [entry for entry in entries if entry.name != name]
    used = {0} | {entry.buffer for entry in others}
    used |= {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors or ()}
    free = [entry.buffer for entry in entries if entry.name == name and entry.buffer not in used]
    model.buffers = model.buffers or [BufferT()]  # buffer 0 is the empty one, by convention
    index = free[0] if free and free[0] < len(model.buffers) else len(model.buffers)
    if index == len(model.buffers):
        model.buffers.append(BufferT())
    entry = MetadataT()
    entry.name, entry.buffer = name, index
    places = [number for number, old in enumerate(entries) if old.name == name]
    others.insert(places[0] if places else len(others), entry)
    model.metadata = others
    model.buffers[index].data = data


def set_min_runtime_version(model: Any) -> None:
    """Write which release of the interpreter is the first to run the model, from its operators' versions.

    TensorFlow writes it for the operators of its own result; a file that was changed since may need another. It is
    left alone where an operator is newer than our table: what is there may know more.

    Args:
        model: a ``ModelT``.
    """
    import numpy as np

    releases = [first_release(*operator) for operator in sorted(_builtin_operators(model))]
    known = [release for release in releases if release is not None]
    if not known or len(known) < len(releases):
        return
    newest = max(known, key=release_key).encode().ljust(_RUNTIME_VERSION_BYTES, b"\0")
    set_entry(model, MIN_RUNTIME_VERSION, np.frombuffer(newest, np.uint8))


def _builtin_operators(model: Any) -> set[tuple[str, int]]:
    """Name and version of the operators that are in use."""
    codes = model.operatorCodes or []
    used = {operator.opcodeIndex for subgraph in model.subgraphs for operator in subgraph.operators or ()}
    found = set()
    for index in used:
        if index < len(codes):  # else a damaged file, which whoever runs it refuses
            # The older field is a byte and holds 127 for every later operator; older files lack the newer field.
            number = max(codes[index].deprecatedBuiltinCode, codes[index].builtinCode)
            if number >= 0 and number != CUSTOM_CODE:
                found.add((operator_name(number), codes[index].version))
    return found
