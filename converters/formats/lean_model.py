"""A ``.tflite`` model without what no interpreter reads: for devices whose flash is counted in kilobytes."""

from __future__ import annotations

from typing import Any

from converters.flatbuffer_model import pack_model, unpack_model

# Read by TensorFlow Lite Micro's allocator (micro_allocation_info.cc).
_KEPT = frozenset({b"OfflineMemoryAllocation"})


def lean_model(content: bytes, *, keep_names: bool = False) -> bytes:
    """The model with the same operators and weights, without metadata, zip, signatures and names.

    Args:
        content: of a ``.tflite`` file.
        keep_names: of tensors, by which compilers may tell them apart.

    Returns:
        Another, which gives the same results.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    model = unpack_model(content)
    model.metadata = [entry for entry in model.metadata or [] if entry.name in _KEPT]
    model.signatureDefs = None
    model.description = None
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = tensor.name if keep_names else None
            if tensor.quantization is not None:
                tensor.quantization.min = tensor.quantization.max = None
    _drop_unused_buffers(model)
    return pack_model(model)


def _drop_unused_buffers(model: Any) -> None:
    """Metadata lie in buffers among those of the weights; buffer 0 is the empty one, by convention."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    used = sorted({0} | {entry.buffer for entry in (*tensors, *model.metadata)})
    place = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    for entry in (*tensors, *model.metadata):
        entry.buffer = place[entry.buffer]
