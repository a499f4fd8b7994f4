"""How the last feature map becomes the features of a picture."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["avg", "avg-max"]
#: ``avg``: the mean of each channel over all places. ``avg-max``: beside it the largest value of each channel, times
#: ``MAX_FACTOR`` (as in fastai's ``AdaptiveConcatPool2d``, https://docs.fast.ai/layers.html#adaptiveconcatpool2d):
#: what is seen in one place only does not drown in the mean.
POOLINGS: tuple[Pooling, ...] = ("avg", "avg-max")
#: Brings the largest values into the range of the means, so that one penalty and one int8 scale suit both. Over 800
#: photographs the standard deviation of the means was 0.16 (EfficientNet-Lite0) and 0.27 (MobileNet v1) of theirs;
#: between 0.08 and 0.25 the gain in accuracy hardly depends on it (docs/training.md).
MAX_FACTOR = 0.15
