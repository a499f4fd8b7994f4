"""The part of a picture that a model sees, and the filters that are Pillow's: all that needs no numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import ImageError
from runtime.spec import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image


def pillow_resize(image: Image, preprocessing: Preprocessing) -> Image:
    """Crop and resize a picture to the model's input by one of Pillow's filters.

    Args:
        image: a Pillow picture in mode RGB.
        preprocessing: says size, policy and filter, which is any but ``tf-bilinear``.

    Raises:
        ImageError: a picture without pixels.
    """
    from PIL.Image import Resampling

    box = crop_box(image.width, image.height, preprocessing)
    chosen = Resampling[preprocessing.resample.upper()]
    return image.resize((preprocessing.width, preprocessing.height), chosen, box=box)


def crop_box(width: int, height: int, preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) in pixels of the part of a picture that the model sees.

    Raises:
        ImageError: a picture without pixels.
    """
    if not width or not height:
        raise ImageError(f"a picture of {width} x {height} pixels")
    if preprocessing.resize == "stretch":
        return (0.0, 0.0, float(width), float(height))
    scale = min(width / preprocessing.width, height / preprocessing.height) * preprocessing.crop_fraction
    # Rounding may carry a full-size window a hair outside the picture, which Pillow refuses.
    crop_width = min(float(width), max(1.0, preprocessing.width * scale))
    crop_height = min(float(height), max(1.0, preprocessing.height * scale))
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    return (left, top, left + crop_width, top + crop_height)
