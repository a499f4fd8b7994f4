"""Takes the systematic part of the error out of rounded weights, by means of what a layer's input is on average.

A rounded weight is off by a little; times the mean of its input that is a constant, which the float bias takes back.
The analytic form of bias correction, M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", https://arxiv.org/abs/1906.04721, section 4.2.1, with means that are measured.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.flatbuffer_model import unpack_model
from converters.layerwise import LayerwiseModel
from runtime.preprocess import normalize
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing

#: Pictures that are enough: means over whole feature maps settle soon.
PICTURES = 16
# BuiltinOperator values of the schema.
_CONV, _DEPTHWISE, _FULLY_CONNECTED = 3, 4, 9
_WEIGHTED = frozenset((_CONV, _DEPTHWISE, _FULLY_CONNECTED))

Means = Mapping[int, NDArray[np.float64]]


def mean_inputs(float32: bytes, images: NDArray[Any], preprocessing: Preprocessing) -> dict[int, NDArray[np.float64]]:
    """What convolutions and dense layers are fed with on average.

    Args:
        float32: a ``.tflite`` file with float weights.
        images: calibration pictures, (count, height, width, 3), 0..255; 16 spread over them are used.
        preprocessing: of the model.

    Returns:
        Tensor index -> mean of each channel, (channels,). Nothing without pictures.

    Raises:
        ModelError: the model does not run.
    """
    chosen = images[np.unique(np.linspace(0, len(images) - 1, PICTURES).astype(int))] if len(images) else images
    model = LayerwiseModel(unpack_model(float32), [normalize(image, preprocessing)[None] for image in chosen])
    means: dict[int, NDArray[np.float64]] = {}
    if not len(chosen):
        return means
    with quiet_stderr():
        for done, operator in enumerate(model.operators, 1):
            source = int(operator.inputs[0])
            if model.code(operator) in _WEIGHTED and source in model.values:
                values = [value.reshape(-1, value.shape[-1]).mean(axis=0) for value in model.values[source]]
                means[source] = np.mean(values, axis=0, dtype=np.float64)
            model.run(operator)
            model.forget(done)
    return means


def shift_bias(view: LayerwiseModel, operator: Any, missing: NDArray[Any], means: Means | None) -> None:
    """Add to the operator's bias what its rounded weights miss on average.

    Nothing changes where the mean is not known or the bias is no float constant.

    Args:
        view: the model.
        operator: of it.
        missing: the exact weights less the rounded ones, in the weights' shape.
        means: of ``mean_inputs``.
    """
    mean = None if means is None else means.get(int(operator.inputs[0]))
    index = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    if mean is None or index < 0 or view.code(operator) not in _WEIGHTED:
        return
    bias = view.constant_values(index, "<f4")
    if view.code(operator) == _DEPTHWISE:  # (1, height, width, channels x multiplier)
        fed = np.repeat(mean, missing.shape[-1] // len(mean))
        shift = missing.sum(axis=(0, 1, 2), dtype=np.float64) * fed if len(fed) == missing.shape[-1] else None
    else:  # (outputs, ..., inputs)
        fits = missing.shape[-1] == len(mean)  # not so in a grouped convolution
        shift = (missing @ mean).reshape(len(missing), -1).sum(axis=1) if fits else None
    if shift is None or len(bias) != len(shift) or view.graph.tensors[index].type != 0:
        return
    tensors, buffers = view.graph.tensors, view.model.buffers
    tensor, buffer = copy.copy(tensors[index]), copy.copy(buffers[0])
    buffer.data = np.frombuffer((bias + shift).astype("<f4").tobytes(), np.uint8)
    tensor.buffer = len(buffers)
    buffers.append(buffer)
    if len(view.readers(index)) == 1:
        tensors[index] = tensor
    else:  # the converter keeps equal constants once: the zeros of layers without a bias, say
        operator.inputs = np.array([*operator.inputs[:2], len(tensors)], np.int32)
        tensors.append(tensor)


def drop_unused_buffers(model: Any) -> None:
    """Empty the buffers that no tensor and no metadata refers to any more; their numbers stay."""
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            model.buffers[number] = copy.copy(buffer)
            model.buffers[number].data = None
