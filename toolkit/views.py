"""Random views of a picture: what augmentation draws, as data, and the pixels it comes to.

A draw depends on seed, picture and number alone, so a view can be cached, computed again after a kill, and made by
any thread.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from runtime.errors import UsageError
from runtime.pillow_resize import crop_box
from runtime.preprocess import resize
from runtime.spec import Preprocessing, ResampleFilter

if TYPE_CHECKING:
    from PIL.Image import Image

# Rec. 601 luma, as Pillow's ImageEnhance takes it for contrast and colour.
_LUMA = (0.299, 0.587, 0.114)
# Windows are drawn anew until one fits, as in torchvision's RandomResizedCrop, which tries as often.
_TRIES = 10


@dataclass(frozen=True)
class View:
    """One draw of an augmentation; the default is the picture as it is.

    Attributes:
        box: left, top, right, bottom of the window, each 0..1 of what the model sees of the picture.
        mirror: left and right are swapped.
        brightness: factor on all values.
        contrast: factor on the distance to the mean grey of the window.
        saturation: factor on the distance to each pixel's own grey.
        resample: filter of the resize; None takes the model's.
    """

    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirror: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    resample: ResampleFilter | None = None


@dataclass(frozen=True)
class Augmentation:
    """How views are drawn; the default draws the picture as it is.

    The first four are retrain.py's distortions as its ``add_input_distortions`` defines them
    (https://github.com/tensorflow/hub/blob/master/examples/image_retraining/retrain.py), except that values stay
    within 0..255, as those of every picture do. The others are today's usual ones and come on top.

    Attributes:
        flip_left_right: half of the views are mirrored.
        random_crop: margin in per cent: the window is ``1 / (1 + random_crop / 100)`` as wide and as high as the
            picture, anywhere in it.
        random_scale: in per cent: the window is smaller by another factor between 1 and ``1 + random_scale / 100``.
        random_brightness: in per cent: the factor on all values differs from 1 by up to this much.
        least_area: of the window, as a share of the picture; up to 1, drawn evenly
            (https://arxiv.org/abs/1409.4842, section 6).
        stretch: width over height of the window, relative to the picture's, lies between this and its inverse.
        brightness: the factor differs from 1 by up to this much.
        contrast: the same.
        saturation: the same.
        resample: filters of which one is drawn for each view; none takes the model's. Devices resize with their
            own: a model that saw several minds less which.
    """

    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    least_area: float = 1.0
    stretch: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    resample: tuple[ResampleFilter, ...] = ()

    def __post_init__(self) -> None:
        for name in ("random_crop", "random_scale", "random_brightness"):
            if getattr(self, name) < 0:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} must be 0 or more per cent, not {getattr(self, name)}")
        if not 0 < self.least_area <= 1:
            raise UsageError(f"the least area of a view must be above 0 and at most 1, not {self.least_area}")
        if not self.stretch >= 1:
            raise UsageError(f"the stretch of a view must be 1 or more, not {self.stretch}")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"the change of {name} must be 0 to 1, not {getattr(self, name)}")
        unknown = set(self.resample) - set(get_args(ResampleFilter))
        if unknown:
            raise UsageError(f"unknown resample filters: {', '.join(sorted(unknown))}")

    @property
    def changes_nothing(self) -> bool:
        """Whether every view is the picture as it is."""
        return self == Augmentation()

    def digest(self) -> str:
        """Hex sha256 of all fields: two augmentations with one digest draw the same views."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


#: What is used when nothing is said: windows of half the picture or more, mirrored half the time, light and colour
#: changed a little, and the filters of the usual devices (Pillow, TensorFlow, browsers).
MODERN = Augmentation(
    flip_left_right=True,
    least_area=0.5,
    stretch=4 / 3,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    resample=("bilinear", "tf-bilinear", "bicubic"),
)

#: For training the backbone, which sees every picture many times: windows down to a quarter of it.
STRONG = replace(MODERN, least_area=0.25)


@dataclass(frozen=True)
class CachedViews:
    """Random views of training pictures whose features are cached like those of the pictures themselves.

    Attributes:
        augmentation: how they are drawn.
        count: views a picture, beside the picture as it is.
        seed: of the draws.
    """

    augmentation: Augmentation
    count: int
    seed: int

    def space(self, space: str, number: int) -> str:
        """Hex digest of all that decides the features of one view beside the picture."""
        parts = f"{space}\n{self.augmentation.digest()}\n{self.seed}\n{number}"
        return hashlib.sha256(parts.encode()).hexdigest()


def draw_view(augmentation: Augmentation, seed: int, digest: str, number: int) -> View:
    """The view with this number of a picture.

    Args:
        augmentation: says what is drawn.
        seed: of the run.
        digest: hex sha256 of the picture's file.
        number: of the view: 0, 1, ... in the cache, or the epoch.
    """
    material = hashlib.sha256(f"view {seed} {digest} {number}".encode()).digest()
    random = np.random.default_rng(np.frombuffer(material, np.uint32))
    # Every number is drawn whether it is needed or not: switching one distortion on leaves the others as they were.
    draws = random.random(8)
    margin = 1 + augmentation.random_crop / 100
    side = 1 / (margin * (1 + draws[0] * augmentation.random_scale / 100))
    outer = _window(side, side, draws[1], draws[2])
    percent = augmentation.random_brightness / 100

    def factor(change: float, draw: float) -> float:
        return float(1 + change * (2 * draw - 1))

    chosen = augmentation.resample[int(random.integers(len(augmentation.resample)))] if augmentation.resample else None
    inner = _inception_window(augmentation, random)
    return View(
        box=_within(outer, inner),
        mirror=augmentation.flip_left_right and bool(draws[3] < 0.5),
        brightness=max(0.0, factor(percent, draws[4])) * factor(augmentation.brightness, draws[5]),
        contrast=factor(augmentation.contrast, draws[6]),
        saturation=factor(augmentation.saturation, draws[7]),
        resample=chosen,
    )


_Box = tuple[float, float, float, float]


def _window(width: float, height: float, across: float, down: float) -> _Box:
    left, top = across * (1 - width), down * (1 - height)
    return (float(left), float(top), float(left + width), float(top + height))


def _inception_window(augmentation: Augmentation, random: np.random.Generator) -> _Box:
    """A window of random area and proportions; the whole where none fits."""
    if augmentation.least_area == 1:
        return (0.0, 0.0, 1.0, 1.0)
    for _ in range(_TRIES):
        area = random.uniform(augmentation.least_area, 1)
        ratio = augmentation.stretch ** random.uniform(-1, 1)
        width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if max(width, height) <= 1:
            return _window(width, height, random.random(), random.random())
    return (0.0, 0.0, 1.0, 1.0)


def _within(outer: _Box, inner: _Box) -> _Box:
    """``inner``, which is relative to ``outer``, in the same terms as ``outer``."""
    left, top, right, bottom = outer
    width, height = right - left, bottom - top
    return (left + inner[0] * width, top + inner[1] * height, left + inner[2] * width, top + inner[3] * height)


def render(image: Image, view: View, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The view as the model's input, before it is normalised.

    Args:
        image: a Pillow picture in mode RGB.
        view: what is seen of it.
        preprocessing: of the model; its filter is used where the view names none.

    Returns:
        float32 (height, width, 3), 0..255.

    Raises:
        ImageError: a picture without pixels.
    """
    if view.resample is not None:
        preprocessing = replace(preprocessing, resample=view.resample)
    if view.box != (0.0, 0.0, 1.0, 1.0):
        image = image.crop(_pixels(view.box, crop_box(image.width, image.height, preprocessing)))
        preprocessing = replace(preprocessing, resize="stretch", crop_fraction=1.0)
    pixels: NDArray[Any] = resize(image, preprocessing)
    if view.mirror:
        pixels = pixels[:, ::-1]
    return _recolour(np.ascontiguousarray(pixels, np.float32), view, preprocessing)


def _pixels(box: _Box, frame: _Box) -> tuple[int, int, int, int]:
    """A window in whole pixels, one at least each way."""
    left, top, right, bottom = _within(frame, box)
    x, y = int(min(round(left), right - 1)), int(min(round(top), bottom - 1))
    return (x, y, max(x + 1, round(right)), max(y + 1, round(bottom)))


def _recolour(pixels: NDArray[np.float32], view: View, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Saturation, then contrast, then brightness, as one matrix and one offset, clipped to 0..255."""
    if view.brightness == view.contrast == view.saturation == 1:
        return pixels
    luma = np.array(_LUMA if preprocessing.channel_order == "RGB" else _LUMA[::-1], np.float32)
    gain = np.float32(view.brightness * view.contrast)
    if view.saturation == 1:
        result = pixels * gain
    else:
        matrix = np.eye(3, dtype=np.float32) * np.float32(view.saturation)
        matrix += np.float32(1 - view.saturation) * luma[:, None]
        result = (pixels.reshape(-1, 3) @ (matrix * gain)).reshape(pixels.shape)
    if view.contrast != 1:
        grey = pixels.mean(axis=(0, 1), dtype=np.float64) @ luma
        result += np.float32(view.brightness * (1 - view.contrast) * grey)
    clipped: NDArray[np.float32] = np.clip(result, 0, 255, out=result)
    return clipped
