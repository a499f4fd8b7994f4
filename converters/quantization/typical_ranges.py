"""Ranges of a float network's tensors that a few odd pictures cannot widen."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import pack_model, unpack_model
from converters.ranges import Ranges
from runtime.interpreter import OperatorRunner
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

#: Share of the pictures whose values a range holds whole; what the others have beyond is clipped.
SHARE = 0.9


def typical_ranges(float32: bytes, ranges: Ranges, images: NDArray[Any], preprocessing: Preprocessing) -> Ranges:
    """Narrow ranges to what nine pictures in ten stay within.

    Args:
        float32: a ``.tflite`` file: float32 (1, height, width, 3) in.
        ranges: of its tensors; the network's input keeps its own.
        images: calibration pictures, (count, height, width, 3), 0..255.
        preprocessing: of the model.

    Returns:
        Tensor index -> least and greatest value, nowhere wider than before.

    Raises:
        ModelError: the interpreter refuses the model.
    """
    model = unpack_model(float32)
    graph = model.subgraphs[0]
    source = int(graph.inputs[0])
    measured = [index for index in ranges if index != source]
    graph.outputs = np.array(measured, np.int32)
    with quiet_stderr():
        runner = OperatorRunner(pack_model(model))
        outputs = (runner.run(normalize(image, preprocessing)[None]) for image in images)
        ends = np.array([[(values.min(), values.max()) for values in picture] for picture in outputs], np.float32)
    lows = np.quantile(ends[:, :, 0], 1 - SHARE, axis=0)
    highs = np.quantile(ends[:, :, 1], SHARE, axis=0)
    narrowed = {
        index: (max(ranges[index][0], float(low)), min(ranges[index][1], float(high)))
        for index, low, high in zip(measured, lows, highs, strict=True)
    }
    return {index: narrowed.get(index, ranges[index]) for index in ranges}
