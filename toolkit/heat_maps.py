"""Where in a picture a model saw what it answered: class activation maps, without TensorFlow.

The backbones end in global pools. With an average pool a class's logit is a mean over places of the last feature map:
the product of that map with the class's weights says how much each place adds (B. Zhou et al., "Learning Deep
Features for Discriminative Localization", https://arxiv.org/abs/1512.04150). A largest value is added by the place that
has it. With hidden layers behind the pools the weights are the logit's gradient, which makes it Grad-CAM (R. Selvaraju
et al., https://arxiv.org/abs/1610.02391).
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.errors import ImageError
from runtime.images import decode_image, read_image_bytes
from runtime.interpreter import OperatorRunner
from runtime.pillow_resize import crop_box
from runtime.preprocess import normalize, resize
from runtime.processors import processors
from runtime.quiet import quiet_stderr
from runtime.spec import Preprocessing, Task
from toolkit.evaluation import Evaluation, Example
from toolkit.head import Layer
from toolkit.model_tail import ModelTail, Pool, find_tail

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = NDArray[np.float32]

#: Longest side of the pictures in a report, pixels: sharp at 170 CSS pixels on a telephone.
SIDE = 320
_JPEG_QUALITY = 80
# Colours of the overlay from no to full heat: five samples of matplotlib's "inferno", 0..255.
_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)
# How much of the overlay covers the picture where there is no heat, and where it is full.
_COVER = (0.45, 0.7)


@dataclass(frozen=True)
class Overlay:
    """A picture with the heat of one class over it: class id, its score, and a JPEG file."""

    class_id: int
    score: float
    jpeg: bytes


@dataclass(frozen=True)
class HeatMap:
    """A picture of an evaluation with the heat of the answered class, and of the right one where they differ.

    Attributes:
        example: which picture.
        jpeg: the picture, small.
        overlays: one or two.
    """

    example: Example
    jpeg: bytes
    overlays: tuple[Overlay, ...]


class HeatMapper:
    """Computes the heat of a class in a picture.

    Args:
        tail: of a model, or of a backbone.
        layers: behind the pool; None takes the tail's own.
        task: of the scores.
    """

    def __init__(self, tail: ModelTail, layers: Sequence[Layer] | None, task: Task) -> None:
        self._tail = tail
        self._layers = tuple(tail.layers if layers is None else layers)
        self._task = task
        with quiet_stderr():
            self._runner = OperatorRunner(tail.model)

    @classmethod
    def of_model(cls, model: bytes, task: Task) -> HeatMapper | None:
        """For a whole classifier; None where it does not end in map, global average pool and dense layers."""
        tail = find_tail(model)
        return None if tail is None or not tail.layers else cls(tail, None, task)

    @classmethod
    def of_backbone(cls, model: bytes, layers: Sequence[Layer], task: Task) -> HeatMapper | None:
        """For a backbone's ``.tflite`` file and a head; None where it does not end in a global average pool."""
        tail = find_tail(model)
        return None if tail is None else cls(tail, layers, task)

    def heat(self, tensor: NDArray[Any], class_id: int) -> Floats:
        """How much each place speaks for a class.

        Args:
            tensor: the model's input, (1, height, width, 3) in its own dtype.
            class_id: of the class.

        Returns:
            float32 (rows, columns) of the last map, 0..1, 1 the place that says most; zeros where none does.
        """
        return self.heat_in(self.last_map(tensor), class_id)

    def last_map(self, tensor: NDArray[Any]) -> Floats:
        """The model's last map of its input, float32 (rows, columns, channels); for one thread at a time."""
        _, stored = self._runner.run(tensor)
        places: Floats = stored[0].astype(np.float32) - np.float32(self._tail.zero_point)
        places *= np.float32(self._tail.scale)
        return places

    def heat_in(self, places: Floats, class_id: int) -> Floats:
        """The same as ``heat`` from the last map, which serves all classes."""
        shares = [share_of_places(places, pool) for pool in self._tail.pools]
        features = np.concatenate([share.sum(axis=(0, 1)) for share in shares])
        weights = np.split(self._weights(features, class_id), len(shares))
        added = [share @ part for share, part in zip(shares, weights, strict=True)]
        heat: Floats = np.maximum(np.sum(added, axis=0), np.float32(0))
        top = heat.max(initial=0)
        result: Floats = heat / top if top > 0 else heat
        return result

    def _weights(self, features: Floats, class_id: int) -> Floats:
        """Gradient of the class's logit by the features, float32 (channels,)."""
        values, active = features, []
        for layer in self._layers[:-1]:
            values = np.maximum(values @ layer.kernel + layer.bias, 0)
            active.append(values > 0)
        kernel = self._layers[-1].kernel
        gradient: Floats = kernel[:, class_id]
        if self._task == "single-label":
            # Softmax sees logits only up to what all classes share: what speaks for every class speaks for none.
            gradient = gradient - kernel.mean(axis=1)
        for layer, mask in zip(reversed(self._layers[:-1]), reversed(active), strict=True):
            gradient = layer.kernel @ (gradient * mask)
        return gradient


def share_of_places(places: Floats, pool: Pool) -> Floats:
    """What each place adds to the result of a pool, float32 (rows, columns, channels): the sum over places is it."""
    if pool.kind == "mean":
        mean: Floats = places * np.float32(pool.factor / (places.shape[0] * places.shape[1]))
        return mean
    best = places == places.max(axis=(0, 1))  # places that are equal share it
    result: Floats = best * places * (np.float32(pool.factor) / best.sum(axis=(0, 1), dtype=np.float32))
    return result


def draw_heat_maps(
    mapper: HeatMapper,
    evaluation: Evaluation,
    examples: Sequence[Example],
    preprocessing: Preprocessing,
    to_tensor: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> tuple[HeatMap, ...]:
    """Heat maps of some pictures; one that can no longer be read, or was changed, is left out.

    Args:
        mapper: of the model that was evaluated.
        evaluation: of which the pictures are part.
        examples: the pictures.
        preprocessing: of the model.
        to_tensor: resized pixels to the model's input; None normalises them to float32.
    """
    convert = to_tensor or (lambda pixels: normalize(pixels, preprocessing)[None])
    turns = threading.Lock()  # the model is run by one thread at a time; decoding and drawing go on beside it

    def draw(example: Example) -> HeatMap | None:
        try:
            data = read_image_bytes(evaluation.sources[example.position])
            if hashlib.sha256(data).hexdigest() != evaluation.digests[example.position]:
                return None
            image = decode_image(data)
        except ImageError:
            return None
        pixels = resize(image, preprocessing)
        with turns:
            places = mapper.last_map(convert(pixels))
        classes = dict.fromkeys((example.class_id, *example.truth[:1]))
        overlays = tuple(
            Overlay(
                class_id,
                float(evaluation.scores[example.position, class_id]),
                small_jpeg(overlay(image, mapper.heat_in(places, class_id), preprocessing)),
            )
            for class_id in classes
        )
        return HeatMap(example, small_jpeg(image), overlays)

    with ThreadPoolExecutor(processors()) as pool:
        return tuple(drawn for drawn in pool.map(draw, examples) if drawn is not None)


def heat_examples(evaluation: Evaluation, count: int = 8) -> tuple[Example, ...]:
    """Pictures worth a heat map: half of them the most confident mistakes, the rest sure hits of each class in turn."""
    mistakes = evaluation.mistakes(count // 2)
    hits: list[Example] = []
    for class_id in range(len(evaluation.labels)):
        rows = np.flatnonzero(evaluation.truth[:, class_id] & evaluation.decisions[:, class_id])
        if len(rows) and len(hits) + len(mistakes) < count:
            best = rows[evaluation.scores[rows, class_id].argmax()]
            hits.append(evaluation.example(int(best), class_id))
    return mistakes + tuple(hits)


def overlay(image: Image, heat: Floats, preprocessing: Preprocessing, side: int = SIDE) -> Image:
    """A picture, at most ``side`` pixels long, with heat over the part of it that the model sees.

    Args:
        image: in mode RGB.
        heat: float32 (rows, columns), 0..1.
        preprocessing: says which part the model sees.
        side: longest side of the result, pixels.
    """
    from PIL import Image as module

    picture = image.copy()
    picture.thumbnail((side, side))
    scale = picture.width / image.width, picture.height / image.height
    box = crop_box(image.width, image.height, preprocessing)
    left, top, right, bottom = (round(n * scale[i % 2]) for i, n in enumerate(box))
    size = (max(1, right - left), max(1, bottom - top))
    smooth = np.clip(np.asarray(module.fromarray(heat).resize(size, module.Resampling.BICUBIC)), 0, 1)
    position = smooth[..., None] * np.float32(len(_COLOURS) - 1)
    lower = np.minimum(position.astype(np.intp)[..., 0], len(_COLOURS) - 2)
    colour = _COLOURS[lower] + (_COLOURS[lower + 1] - _COLOURS[lower]) * (position - lower[..., None])
    cover = np.float32(_COVER[0]) + np.float32(_COVER[1] - _COVER[0]) * smooth[..., None]
    part = np.asarray(picture.crop((left, top, left + size[0], top + size[1])), np.float32)
    mixed = np.clip(part + (colour - part) * cover + 0.5, 0, 255).astype(np.uint8)
    picture.paste(module.fromarray(mixed), (left, top))
    return picture


def small_jpeg(image: Image, side: int = SIDE) -> bytes:
    """A picture in mode RGB as a JPEG file at most ``side`` pixels long; the picture itself stays as it is."""
    if max(image.size) > side:
        image = image.copy()
        image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()
