"""A ``.tflite`` file as objects that can be changed, and back to bytes that every interpreter takes.

The objects are those of ``ai_edge_litert.schema_py_generated``, generated from TFLite's schema:
https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ModelError
from runtime.file_kind import describe_bytes
from runtime.model_file import IDENTIFIER

#: ``force_align`` of ``Buffer.data`` in the schema, bytes.
BUFFER_ALIGNMENT = 16


def unpack_model(model: bytes) -> Any:
    """Read a model; what is appended behind the flatbuffer is left out.

    Args:
        model: a whole ``.tflite`` file. Weights are not copied: the objects refer to these bytes.

    Returns:
        A ``ModelT``.

    Raises:
        ModelError: not a TFLite model, or a damaged one.
    """
    from ai_edge_litert import schema_py_generated as schema

    if model[4:8] != IDENTIFIER:
        raise ModelError(f"not a TensorFlow Lite model {describe_bytes(Path('model'), model[:1024])}")
    try:
        return schema.ModelT.InitFromPackedBuf(model)
    except Exception as error:  # struct, index, value and type errors: all mean offsets that lead nowhere
        raise ModelError(f"the TensorFlow Lite model is cut short or damaged: {error}") from error


def pack_model(model: Any) -> bytes:
    """Write a model; the same objects always give the same bytes.

    Args:
        model: a ``ModelT``; the data of its buffers are numpy arrays of uint8.

    Returns:
        A ``.tflite`` file without anything appended.

    Raises:
        ModelError: parts of the model lie behind the flatbuffer, as in models of over 2 GB.
    """
    _check_all_inside(model)
    aligned = copy.copy(model)
    aligned.buffers = [_AlignedBuffer(buffer) for buffer in model.buffers or ()]
    stored = sum(len(buffer.data) for buffer in model.buffers or () if buffer.data is not None)
    # Room for the weights at once: growing means copying all that is written.
    builder = _sharing_builder(stored + (1 << 20))
    builder.Finish(aligned.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _sharing_builder(size: int) -> Any:
    """A flatbuffers ``Builder`` that writes equal vectors of integers once.

    An int8 model has 8 bytes of zero point, always 0, for every channel of every kernel and once more for its bias:
    a twelfth of EfficientNet-Lite0's file. Vectors of one flatbuffer may be shared.
    """
    import flatbuffers

    class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self, size: int) -> None:
            super().__init__(size)
            self._written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: NDArray[Any]) -> int:
            """Called by the generated ``Pack`` methods; bytes, which are weights, are written as they come."""
            if x.dtype not in (np.int64, np.int32):
                return int(super().CreateNumpyVector(x))
            key = (x.dtype.str, x.tobytes())
            if key not in self._written:
                self._written[key] = int(super().CreateNumpyVector(x))
            return self._written[key]

    return SharingBuilder(size)


class _AlignedBuffer:
    """A ``BufferT`` written as the schema asks.

    The generated Python classes ignore ``force_align`` and align weights to 4 bytes only, as do the files of
    TensorFlow's converter, whose last stage uses these classes. Interpreters use weights where they lie.
    """

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def Pack(self, builder: Any) -> int:
        """Write it; the name is the one that ``ModelT.Pack`` calls."""
        if self.buffer.data is not None:
            # The data are the first thing that BufferT writes, so padding put here lands behind their end.
            builder.Prep(BUFFER_ALIGNMENT, len(self.buffer.data))
        return int(self.buffer.Pack(builder))


def _check_all_inside(model: Any) -> None:
    """Refuse positions in the file, which writing it anew would move; 0 and 1 mean "not outside"."""
    buffers = [buffer.offset for buffer in model.buffers or ()]
    options = [
        getattr(operator, "largeCustomOptionsOffset", 0)  # not in the oldest releases of ai-edge-litert
        for subgraph in model.subgraphs or ()
        for operator in subgraph.operators or ()
    ]
    if max(buffers + options, default=0) > 1:
        raise ModelError(
            "the model keeps weights behind its flatbuffer, which cannot be rewritten here: "
            "convert it again without buffer offsets"
        )
