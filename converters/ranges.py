"""The least and greatest value of every tensor of a float network over calibration pictures.

They become the scales of an integer model. TensorFlow's own calibrator runs the network with its reference kernels,
a tenth of a second a picture; here it runs on the device interpreter with every tensor made an output, which takes
a tenth of that and gives the same numbers to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from runtime.interpreter import OperatorRunner
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

#: Tensor index -> least and greatest value.
Ranges = dict[int, tuple[float, float]]
# TensorType of the schema.
_FLOAT32 = 0


def measure_ranges(float32: bytes, images: NDArray[Any], preprocessing: Preprocessing) -> Ranges:
    """Run a network over pictures and note what each of its tensors takes.

    Args:
        float32: a ``.tflite`` file: float32 (1, height, width, 3) in, float32 out.
        images: calibration pictures, (count, height, width, 3), 0..255, as ``preprocess.resize`` gives them.
        preprocessing: of the model.

    Returns:
        For each float tensor that is computed, its range over all pictures; for the input, that of any picture:
        what black and white become, so that raw bytes can go into an integer model.

    Raises:
        ModelError: the interpreter refuses the model.
    """
    model = unpack_model(float32)
    graph = model.subgraphs[0]
    computed = [int(i) for operator in graph.operators for i in operator.outputs]
    computed = [index for index in dict.fromkeys(computed) if graph.tensors[index].type == _FLOAT32]
    graph.outputs = np.array(computed, np.int32)
    content = pack_model(model)
    workers = max(1, min(os.cpu_count() or 1, len(images)))
    with quiet_stderr(), ThreadPoolExecutor(workers) as pool:
        parts = pool.map(lambda part: _extremes(content, images[part::workers], preprocessing), range(workers))
        lows, highs = zip(*parts, strict=True)
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    ranges = {index: (float(low[n]), float(high[n])) for n, index in enumerate(computed)}
    return {int(graph.inputs[0]): input_range(preprocessing)} | ranges


def input_range(preprocessing: Preprocessing) -> tuple[float, float]:
    """What black and white become."""
    ends = normalize(np.array([[[0, 0, 0]], [[255, 255, 255]]], np.uint8), preprocessing)
    return float(ends.min()), float(ends.max())


def set_ranges(model: Any, ranges: Ranges) -> None:
    """Write ranges into a ``ModelT``, where TensorFlow's quantisers look for them."""
    from ai_edge_litert import schema_py_generated as schema

    for index, (low, high) in ranges.items():
        quantization = schema.QuantizationParametersT()
        quantization.min, quantization.max = np.array([low], np.float32), np.array([high], np.float32)
        model.subgraphs[0].tensors[index].quantization = quantization


def _extremes(
    content: bytes, images: Iterable[NDArray[Any]], preprocessing: Preprocessing
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Least and greatest value of each output over some pictures, float32 (outputs,)."""
    runner = OperatorRunner(content, threads=1)
    lows, highs = [], []
    for image in images:
        outputs: Sequence[NDArray[Any]] = runner.run(normalize(image, preprocessing)[None])
        lows.append([output.min() for output in outputs])
        highs.append([output.max() for output in outputs])
    return np.min(np.array(lows, np.float32), axis=0), np.max(np.array(highs, np.float32), axis=0)
