"""Picture to tensor: the only resize and normalise code of the project.

Training, calibration, evaluation, the device and the tests all call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.pillow_resize import crop_box, pillow_resize
from runtime.spec import ChannelOrder, Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image


def resize(image: Image, preprocessing: Preprocessing, channel_order: ChannelOrder = "RGB") -> NDArray[Any]:
    """Crop and resize an RGB picture to the model's input.

    Args:
        image: a Pillow picture in mode RGB.
        preprocessing: says size, policy, filter and channel order.
        channel_order: what the three channels hold in truth. A camera may give blue first; to turn them round here,
            in the small picture, costs nothing.

    Returns:
        (height, width, 3), 0..255: uint8, or float32 (not rounded) for ``tf-bilinear``, whose fractions
        TensorFlow keeps too.

    Raises:
        ImageError: a picture without pixels.
    """
    pixels: NDArray[Any]
    if preprocessing.resample == "tf-bilinear":
        box = crop_box(image.width, image.height, preprocessing)
        left, top, width, height = (round(n) for n in (box[0], box[1], box[2] - box[0], box[3] - box[1]))
        part = np.asarray(image)[top : top + height, left : left + width]
        pixels = tf_bilinear(part, preprocessing.height, preprocessing.width)
    else:
        pixels = np.asarray(pillow_resize(image, preprocessing))
    return pixels if preprocessing.channel_order == channel_order else pixels[:, :, ::-1]


def tf_bilinear(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """TensorFlow 2's ``tf.image.resize(..., "bilinear", antialias=False)``: half-pixel centres.

    Args:
        pixels: uint8 (rows, columns, 3).
        height: of the result.
        width: of the result.

    Returns:
        float32 (height, width, 3), 0..255, not rounded.

    Source: ``HalfPixelScaler`` and ``compute_interpolation_weights`` in
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/image/resize_bilinear_op.cc
    """
    top, bottom, down = _interpolation(pixels.shape[0], height)
    left, right, across = _interpolation(pixels.shape[1], width)
    # Only the rows that are needed become float: at most 2 x height of them, whatever the picture's size.
    across = across[None, :, None]

    def rows(index: NDArray[np.intp]) -> NDArray[np.float32]:
        lines = pixels[index]
        start = lines[:, left].astype(np.float32)
        return start + (lines[:, right].astype(np.float32) - start) * across

    upper = rows(top)
    return upper + (rows(bottom) - upper) * down[:, None, None]


def _interpolation(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Lower index, upper index and weight of the upper one for each target position."""
    scale = np.float32(source) / np.float32(target)
    position = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(position)
    lower = np.maximum(floor, 0).astype(np.intp)
    upper = np.minimum(np.ceil(position), source - 1).astype(np.intp)
    return lower, upper, (position - floor).astype(np.float32)


def normalize(
    pixels: NDArray[Any], preprocessing: Preprocessing, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(pixels - mean) / std, channel by channel.

    Args:
        pixels: (..., 3), 0..255, uint8 or float32.
        preprocessing: says mean and std, in the tensor's channel order.
        out: float32 array of the same shape to write to. In a loop it saves most of the time, which goes into
            fresh memory.

    Returns:
        float32, the same shape; ``out`` where that was given.
    """
    mean = np.asarray(preprocessing.mean, np.float32)
    std = np.asarray(preprocessing.std, np.float32)
    if mean[0] == mean[1] == mean[2] and std[0] == std[1] == std[2]:
        mean, std = mean[:1], std[:1]  # one number instead of a row of three: three times as fast
    result: NDArray[np.float32] = np.subtract(pixels, mean, out=out, dtype=np.float32)
    result /= std
    return result


def image_from_array(array: NDArray[Any]) -> Image:
    """An RGB picture from uint8 (height, width, 3), RGB order; (height, width) is taken as grey.

    Raises:
        ImageError: another dtype or shape.
    """
    from PIL import Image as module

    good_shape = array.ndim in (2, 3) and array.shape[2:] in ((), (3,)) and array.size > 0
    if array.dtype != np.uint8 or not good_shape:
        raise ImageError(f"a picture array must be uint8 (height, width, 3), RGB; got {array.dtype} {array.shape}")
    return module.fromarray(np.ascontiguousarray(array)).convert("RGB")
